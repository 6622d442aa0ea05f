//! The command line, as runc's: global flags, a verb, its flags, the container's id.

mod arguments;
mod create;
mod delete;
mod duration;
mod events;
mod exec;
mod features;
mod flags;
mod foreground;
mod inherit;
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

use arguments::{Arguments, Command, Globals};

use crate::error::{Error, Result};
use crate::shim;

/// The exit status for an error of ours. That of `exec` cannot be mistaken for one of its program.
const FAILED: u8 = 1;
const EXEC_FAILED: u8 = 255;

/// Runs a command line; the exit status. `program` is the name that this program was called by: whoever takes it for runc
/// by its name finds it in its version and help too.
pub fn run(program: &str, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let mut globals = Globals::default();
    let mut arguments = Arguments::new(arguments);
    let command = match arguments.globals(&mut globals) {
        Ok(command) => command,
        Err(error) => {
            report::error(&globals, &error.in_step("command_line"));
            return FAILED;
        }
    };
    let verb = match command {
        Command::Help => {
            report::say(flags::help(program).trim_end());
            return 0;
        }
        Command::HelpOf(verb) => {
            report::say(flags::help_of(program, verb).trim_end());
            return 0;
        }
        Command::Version => {
            report::say(&format!(
                "{program} version {}\nspec: {}",
                env!("CARGO_PKG_VERSION"),
                crate::spec::OCI_VERSION
            ));
            return 0;
        }
        Command::Verb(verb) => verb.name,
    };
    match dispatch(verb, &mut arguments, &globals) {
        Ok(status) => status,
        Err(error) => {
            // Outside the steps of a start, the command is the step.
            report::error(&globals, &error.in_step(verb));
            if verb == "exec" { EXEC_FAILED } else { FAILED }
        }
    }
}

fn dispatch(verb: &str, arguments: &mut Arguments, globals: &Globals) -> Result<u8> {
    match verb {
        "create" => create::run(globals, arguments, create::Then::Leave),
        "run" => create::run(globals, arguments, create::Then::Start),
        "start" => start::run(globals, arguments),
        "state" => list::state(globals, arguments),
        "list" => list::run(globals, arguments),
        "kill" => kill::run(globals, arguments),
        "pause" => pause::run(globals, arguments, true),
        "resume" => pause::run(globals, arguments, false),
        "delete" => delete::run(globals, arguments),
        "exec" => exec::run(globals, arguments),
        "ps" => ps::run(globals, arguments),
        "update" => update::run(globals, arguments),
        "events" => events::run(globals, arguments),
        "spec" => spec::run(arguments),
        "features" => features::run(arguments),
        "shim" => {
            seal::ensure(None)?;
            let mut bundle = None;
            arguments.flags(|flag, arguments| match flag {
                "--bundle" => arguments.path().map(|path| bundle = Some(path)),
                _ => Err(Arguments::unknown(flag)),
            })?;
            shim::run(&bundle.ok_or_else(|| Error::invalid("shim needs --bundle"))?)?;
            Ok(0)
        }
        "checkpoint" | "restore" => Err(Error::unsupported(format!(
            "{verb} is not offered: mini does not save the state of processes"
        ))
        .with_hint("use a runtime that is built with CRIU for this container")),
        other => Err(Error::unsupported(format!("{other} is not offered"))
            .with_hint("mini --help lists the commands")),
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
