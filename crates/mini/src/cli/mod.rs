//! The command line, as runc's: global flags, a verb, its flags, the container's id.

mod arguments;
mod create;
mod delete;
mod exec;
mod features;
mod foreground;
mod kill;
mod list;
mod pause;
mod ps;
mod report;
mod seal;
mod spec;
mod start;
mod update;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use arguments::{Arguments, Globals};

use crate::error::{Error, Result};
use crate::shim;

const HELP: &str = "\
mini: an OCI runtime

usage: mini [--root DIR] [--log FILE] [--log-format text|json] [--debug] VERB …

  create [--bundle DIR] [--console-socket PATH] [--pid-file FILE] ID    make a container; its program waits
  start ID                                      let its program run
  run [the flags of create] [--detach] ID       both; without --detach, wait for its end
  state ID                                      print its state
  exec [--tty] [--detach] [--process FILE] [--cwd DIR] [--env K=V] [--user UID[:GID]] [--pid-file FILE] ID [COMMAND …]
  kill [--all] ID [SIGNAL]                      send a signal (SIGTERM)
  pause ID | resume ID                          freeze and thaw
  ps [--format table|json] ID                   its processes, as the host sees them
  update [--memory N] [--cpu-quota N] … [--resources FILE] ID    other limits
  delete [--force] ID                           remove what is left of it
  list [--quiet] [--format table|json]          the containers of --root
  spec [--bundle DIR]                           write a config.json to begin with
  features                                      what this runtime offers, as JSON
  shim --bundle DIR                             stay with a container of the engine (see the crate shim-protocol)
  --version
";

/// Runs a command line; the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut globals = Globals::default();
    match dispatch(arguments, &mut globals) {
        Ok(status) => status,
        Err(error) => {
            report::error(&globals, &error);
            error.exit_status()
        }
    }
}

fn dispatch(arguments: impl IntoIterator<Item = OsString>, globals: &mut Globals) -> Result<u8> {
    let mut arguments = Arguments::new(arguments);
    let Some(verb) = arguments.globals(globals)? else {
        report::say(HELP.trim_end());
        return Ok(0);
    };
    // Those that make processes in a container, which can see what this program is.
    if matches!(verb.as_str(), "create" | "run" | "exec" | "shim") {
        seal::ensure()?;
    }
    match verb.as_str() {
        "--version" => {
            report::say(&format!(
                "mini {}\nspec: {}",
                env!("CARGO_PKG_VERSION"),
                crate::spec::OCI_VERSION
            ));
            Ok(0)
        }
        "create" => create::run(globals, &mut arguments, create::Then::Leave),
        "run" => create::run(globals, &mut arguments, create::Then::Start),
        "start" => start::run(globals, &mut arguments),
        "state" => list::state(globals, &mut arguments),
        "list" => list::run(globals, &mut arguments),
        "kill" => kill::run(globals, &mut arguments),
        "pause" => pause::run(globals, &mut arguments, true),
        "resume" => pause::run(globals, &mut arguments, false),
        "delete" => delete::run(globals, &mut arguments),
        "exec" => exec::run(globals, &mut arguments),
        "ps" => ps::run(globals, &mut arguments),
        "update" => update::run(globals, &mut arguments),
        "spec" => spec::run(&mut arguments),
        "features" => features::run(&mut arguments),
        "shim" => {
            let mut bundle = None;
            arguments.flags(|flag, arguments| match flag {
                "--bundle" | "-b" => arguments.path().map(|path| bundle = Some(path)),
                _ => Err(Arguments::unknown(flag)),
            })?;
            shim::run(&bundle.ok_or_else(|| Error::invalid("shim needs --bundle"))?)?;
            Ok(0)
        }
        other => {
            Err(Error::invalid(format!("no such command: {other}"))
                .with_hint("mini --help lists them"))
        }
    }
}

/// Writes a process id where the caller wants it, whole or not at all.
fn write_pid_file(path: Option<&Path>, pid: i32) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    let new: PathBuf = path.with_file_name(name);
    std::fs::write(&new, pid.to_string())
        .and_then(|()| std::fs::rename(&new, path))
        .map_err(|error| Error::sys("write the pid file", path.display(), error))
}
