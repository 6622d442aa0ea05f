//! `exec`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::create::send_terminal;
use crate::cli::foreground::Foreground;
use crate::cli::write_pid_file;
use crate::container::Bundle;
use crate::error::{Error, ErrorKind, Result};
use crate::process::attributes::Attributes;
use crate::process::exec::{join, namespaces_to_join};
use crate::process::finish::Stdio;
use crate::process::join::JoinPlan;
use crate::seccomp::Filter;
use crate::spec::Process;
use crate::state::{Status, Store, start_ticks};
use crate::trace::Trace;
use crate::validate::validate_process;

#[derive(Debug, Default)]
struct Flags {
    process: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    cwd: Option<String>,
    env: Vec<String>,
    user: Option<String>,
    capabilities: Vec<String>,
    tty: bool,
    detach: bool,
    no_new_privileges: bool,
    ignore_paused: bool,
    additional_gids: Vec<u32>,
    apparmor: Option<String>,
}

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut flags = Flags::default();
    let command = arguments.flags_then_command(|flag, arguments| {
        match flag {
            "--process" | "-p" => flags.process = Some(arguments.path()?),
            "--console-socket" => flags.console_socket = Some(arguments.path()?),
            "--pid-file" => flags.pid_file = Some(arguments.path()?),
            "--cwd" => flags.cwd = Some(arguments.text()?),
            "--env" | "-e" => flags.env.push(arguments.text()?),
            "--user" | "-u" => flags.user = Some(arguments.text()?),
            "--cap" | "-c" => flags.capabilities.push(arguments.text()?),
            "--tty" | "-t" => flags.tty = true,
            "--detach" | "-d" => flags.detach = true,
            "--ignore-paused" => flags.ignore_paused = true,
            "--additional-gids" | "-g" => flags.additional_gids.push(arguments.number()?),
            "--apparmor" => flags.apparmor = Some(arguments.text()?),
            "--no-new-privs" => flags.no_new_privileges = true,
            _ => return Err(Arguments::unknown(flag)),
        }
        Ok(())
    })?;
    let id = arguments.id()?;
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    let wrong = |word: &str| {
        Error::new(
            ErrorKind::WrongState,
            format!("cannot exec in a {word} container"),
        )
    };
    match store.status(&state) {
        Status::Stopped => return Err(wrong("stopped")),
        Status::Paused if flags.ignore_paused => {}
        Status::Paused => return Err(wrong("paused")),
        Status::Created | Status::Running => {}
    }
    let bundle = Bundle::read(&state.bundle)?;
    let process = process(&flags, command, &bundle)?;
    let linux = bundle
        .spec
        .linux
        .as_ref()
        .ok_or_else(|| Error::invalid("linux is missing"))?;
    let pid = Pid::from_raw(state.pid).ok_or_else(|| wrong("stopped"))?;
    let init = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| wrong("stopped"))?;
    if start_ticks(state.pid) != Some(state.start_ticks) {
        return Err(wrong("stopped"));
    }
    let cgroup = state.cgroup()?;
    let filter = Filter::of_container(&bundle.spec, &id, &bundle.directory)?;
    let foreground = (!flags.detach).then(Foreground::prepare).transpose()?;
    let plan = JoinPlan {
        id: &id,
        process: &process,
        attributes: &Attributes::of(&bundle.spec),
        cgroup: &cgroup,
        seccomp: filter.as_ref(),
        init: init.as_fd(),
        init_pid: state.pid,
        namespaces: namespaces_to_join(linux, state.pid),
        stdio: if process.terminal {
            Stdio::Terminal
        } else {
            Stdio::Inherited
        },
        console_size: foreground.as_ref().and_then(Foreground::console_size),
    };
    if process.terminal && flags.detach && flags.console_socket.is_none() {
        return Err(Error::invalid(
            "cannot allocate tty if mini will detach without setting console socket",
        ));
    }
    let mut trace = Trace::new(globals.trace.is_some());
    let joined = join(plan, &mut trace);
    let recorded = globals.trace.as_deref().map_or(Ok(()), |path| {
        trace.write(path, "exec", &id, joined.as_ref().err())
    });
    let mut spawned = joined?;
    if let Err(error) = recorded {
        crate::process::spawn::end(&spawned.pidfd);
        return Err(error);
    }
    if let (Some(path), Some(master)) = (&flags.console_socket, &spawned.terminal) {
        send_terminal(path, master)?;
        // It is the receiver's now.
        spawned.terminal = None;
    }
    write_pid_file(flags.pid_file.as_deref(), spawned.pid)?;
    foreground.map_or(Ok(0), |foreground| foreground.wait(&spawned))
}

/// The process: of `--process`, or the container's own with what the flags change.
fn process(flags: &Flags, command: Vec<String>, bundle: &Bundle) -> Result<Process> {
    let mut process = if let Some(path) = &flags.process {
        let json =
            std::fs::read(path).map_err(|error| Error::sys("read", path.display(), error))?;
        serde_json::from_slice(&json)
            .map_err(|error| Error::invalid(format!("read {}: {error}", path.display())))?
    } else {
        let mut process = bundle
            .spec
            .process()
            .cloned()
            .ok_or_else(|| Error::invalid("process is missing"))?;
        process.args = command;
        process.terminal = flags.tty;
        process
    };
    if let Some(cwd) = &flags.cwd {
        process.cwd.clone_from(cwd);
    }
    process.env.extend(flags.env.iter().cloned());
    if let Some(user) = &flags.user {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| Error::invalid(format!("--user {user:?} is not UID[:GID]")))
        };
        let (uid, gid) = user
            .split_once(':')
            .map_or((user.as_str(), None), |(uid, gid)| (uid, Some(gid)));
        process.user.uid = number(uid)?;
        if let Some(gid) = gid {
            process.user.gid = number(gid)?;
        }
    }
    if let Some(sets) = &mut process.capabilities {
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.extend(flags.capabilities.iter().cloned());
        }
    }
    process.user.additional_gids.extend(&flags.additional_gids);
    if let Some(profile) = &flags.apparmor {
        process.apparmor_profile.clone_from(profile);
    }
    process.no_new_privileges |= flags.no_new_privileges;
    validate_process(&process)?;
    Ok(process)
}
