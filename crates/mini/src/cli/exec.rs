//! `exec`.

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use cgroups::{Cgroup, Layout};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use shim_protocol::ConsoleSize;

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::create::{check_terminal, send, send_terminal};
use crate::cli::foreground::Foreground;
use crate::cli::inherit::Inherited;
use crate::cli::{report, seal, write_pid_file};
use crate::container::Bundle;
use crate::error::{Error, ErrorKind, Result};
use crate::process::attributes::Attributes;
use crate::process::exec::{join, namespaces_to_join};
use crate::process::finish::Stdio;
use crate::process::init::Wishes;
use crate::process::join::JoinPlan;
use crate::seccomp::Filter;
use crate::spec::Process;
use crate::state::{State, Status, Store, start_ticks};
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
    process_label: Option<String>,
    pidfd_socket: Option<PathBuf>,
    preserve: u32,
    cgroups: Vec<String>,
}

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut flags = Flags::default();
    let command = arguments.flags_then_command(|flag, arguments| {
        match flag {
            "--process" => flags.process = Some(arguments.path()?),
            "--console-socket" => flags.console_socket = Some(arguments.path()?),
            "--pid-file" => flags.pid_file = Some(arguments.path()?),
            "--cwd" => flags.cwd = Some(arguments.text()?),
            "--env" => flags.env.push(arguments.text()?),
            "--user" => flags.user = Some(arguments.text()?),
            "--cap" => flags.capabilities.push(arguments.text()?),
            "--tty" => flags.tty = true,
            "--detach" => flags.detach = true,
            "--ignore-paused" => flags.ignore_paused = true,
            "--additional-gids" => flags.additional_gids.push(arguments.number()?),
            "--apparmor" => flags.apparmor = Some(arguments.text()?),
            "--process-label" => flags.process_label = Some(arguments.text()?),
            "--pidfd-socket" => flags.pidfd_socket = Some(arguments.path()?),
            "--preserve-fds" => flags.preserve = arguments.number()?,
            "--cgroup" => flags.cgroups.push(arguments.text()?),
            "--no-new-privs" => flags.no_new_privileges = true,
            _ => return Err(Arguments::unknown(flag)),
        }
        Ok(())
    })?;
    let id = arguments.id()?;
    let inherited = Inherited::find(flags.preserve, false)?;
    seal::ensure(Some(&inherited))?;
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    let wrong = |word: &str| {
        Error::new(
            ErrorKind::WrongState,
            format!("cannot exec in a {word} container"),
        )
        .with_hint("its program has ended: start a new container")
    };
    match store.status(&state) {
        Status::Stopped => return Err(wrong("stopped")),
        Status::Paused if flags.ignore_paused => {}
        Status::Paused => {
            return Err(Error::new(
                ErrorKind::WrongState,
                "cannot exec in a paused container (use --ignore-paused to override)",
            ));
        }
        Status::Created | Status::Running => {}
    }
    let bundle = Bundle::read(&state.bundle)?;
    let process = process(&flags, command, &bundle)?;
    report::capabilities(globals, &process);
    if let Some(processors) = first_processors(&process, &bundle) {
        report::debug(globals, &format!("affinity: {}", mask_of(&processors)));
    }
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
    let cgroup = cgroup_of(&state, &flags.cgroups)?;
    let filter = Filter::of_container(&bundle.spec, &id, &bundle.directory)?;
    check_terminal(
        flags.console_socket.as_deref(),
        process.terminal,
        !flags.detach,
    )?;
    let foreground = (!flags.detach).then(Foreground::prepare).transpose()?;
    let plan = JoinPlan {
        id: &id,
        process: &process,
        attributes: &Attributes::of(&bundle.spec),
        cgroup: &cgroup,
        moved_by: state.systemd.as_ref().filter(|unit| unit.user),
        seccomp: filter.as_ref(),
        init: init.as_fd(),
        init_pid: state.pid,
        namespaces: namespaces_to_join(linux, state.pid),
        stdio: if process.terminal {
            Stdio::Terminal
        } else {
            Stdio::Inherited
        },
        console_size: foreground
            .as_ref()
            .and_then(Foreground::console_size)
            .or_else(|| console_size(&process)),
        wishes: Wishes {
            inherited: inherited.count,
            plain_line_ends: !flags.detach,
            ..Wishes::default()
        },
    };
    let mut trace = Trace::new(globals.trace.is_some() || globals.debug);
    let joined = join(plan, &mut trace);
    report::steps(globals, trace.steps());
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
    let told = (|| {
        if let Some(path) = &flags.pidfd_socket {
            send(path, "the pidfd socket", b"pidfd", spawned.pidfd.as_fd())?;
        }
        write_pid_file(flags.pid_file.as_deref(), spawned.pid)
    })();
    if let Err(error) = told {
        crate::process::spawn::end(&spawned.pidfd);
        return Err(error);
    }
    report::debug(globals, &format!("process {} runs in {id}", spawned.pid));
    foreground.map_or(Ok(0), |foreground| foreground.wait(&spawned))
}

/// The cgroup to enter: the container's, or of `--cgroup` one below.
fn cgroup_of(state: &State, wanted: &[String]) -> Result<Cgroup> {
    if wanted.is_empty() {
        return own_cgroup(state);
    }
    let container = state.cgroup()?;
    let below = |cgroup: &Cgroup, controller: Option<&str>, path: &str| {
        if path.split('/').any(|part| part == "..") {
            return Err(Error::invalid(format!("bad sub cgroup path: {path}"))
                .with_hint("name a cgroup below the container's, without .."));
        }
        cgroup.below(controller, path).map_err(|error| {
            Error::invalid(format!(
                "error adding pid of a new process to cgroup: {error}"
            ))
        })
    };
    wanted
        .iter()
        .try_fold(container, |cgroup, entry| match entry.split_once(':') {
            None if wanted.len() > 1 => Err(Error::invalid(format!(
                "invalid --cgroup argument: {entry} (missing <controller>: prefix)"
            ))
            .with_hint("write CONTROLLER:PATH for each")),
            None => below(&cgroup, None, entry),
            Some((controllers, path)) => {
                controllers
                    .split(',')
                    .try_fold(cgroup, |cgroup, controller| {
                        if controller.is_empty() {
                            return Err(Error::invalid(format!(
                                "invalid --cgroup argument: {entry} (empty <controller> prefix)"
                            ))
                            .with_hint("write CONTROLLER:PATH for each"));
                        }
                        below(&cgroup, Some(controller), path)
                    })
            }
        })
}

/// The container's cgroup; on v2 that of its first process when it has moved itself below or away: one whose children have
/// controllers takes no process, and one that is gone takes none either.
fn own_cgroup(state: &State) -> Result<Cgroup> {
    let cgroup = state.cgroup();
    let layout = Layout::detect()?;
    if layout.mode() != cgroups::Mode::V2 {
        return cgroup;
    }
    let takes_processes = cgroup.as_ref().is_ok_and(|cgroup| {
        cgroup
            .v2_directory()
            .and_then(|path| std::fs::read_to_string(path.join("cgroup.subtree_control")).ok())
            .is_some_and(|controllers| controllers.trim().is_empty())
    });
    match u32::try_from(state.pid) {
        Ok(pid) if !takes_processes => Ok(Cgroup::of_process(&layout, pid)?),
        _ => cgroup,
    }
}

/// The processors that the process has while it joins: its own `execCPUAffinity`, else the container's.
fn first_processors(process: &Process, bundle: &Bundle) -> Option<Vec<u32>> {
    let affinity = process
        .exec_cpu_affinity
        .as_ref()
        .or_else(|| bundle.spec.process()?.exec_cpu_affinity.as_ref())?;
    cgroups::parse::number_list(&affinity.initial)
}

/// A bit for each processor, in hexadecimal digits.
fn mask_of(processors: &[u32]) -> String {
    let digits = processors.iter().max().map_or(0, |last| last / 4);
    let digit = |place: u32| {
        let bits = processors
            .iter()
            .filter(|number| **number / 4 == place)
            .fold(0, |bits, number| bits | (1 << (number % 4)));
        std::char::from_digit(bits, 16).unwrap_or('0')
    };
    let text: String = (0..=digits).rev().map(digit).collect();
    format!("0x{text}")
}

fn console_size(process: &Process) -> Option<ConsoleSize> {
    let size = process.console_size?;
    Some(ConsoleSize {
        height: size.height,
        width: size.width,
    })
}

/// The process: of `--process`, or the container's own with what the flags change.
fn process(flags: &Flags, command: Vec<String>, bundle: &Bundle) -> Result<Process> {
    let mut process = if let Some(path) = &flags.process {
        let json =
            std::fs::read(path).map_err(|error| Error::sys("read", path.display(), error))?;
        serde_json::from_slice(&json)
            .map_err(|error| Error::invalid(format!("read {}: {error}", path.display())))?
    } else {
        let mut process = bundle.spec.process().cloned().ok_or_else(|| {
            Error::invalid("process is missing")
                .with_hint("name a program behind the id, or --process FILE")
        })?;
        if command.is_empty() {
            return Err(Error::invalid("exec args cannot be empty")
                .with_hint("name the program in args of the process's file"));
        }
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
            text.parse().map_err(|_| {
                Error::invalid(format!("--user {user:?} is not UID[:GID]"))
                    .with_hint("names are not looked up: give numbers, such as 1000:1000")
            })
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
        // What is ambient must be inheritable, which the flag does not make it.
        if !sets.inheritable.is_empty() {
            sets.ambient.extend(flags.capabilities.iter().cloned());
        }
    }
    process.user.additional_gids.extend(&flags.additional_gids);
    if let Some(profile) = &flags.apparmor {
        process.apparmor_profile.clone_from(profile);
    }
    if let Some(label) = &flags.process_label {
        process.selinux_label.clone_from(label);
    }
    process.no_new_privileges |= flags.no_new_privileges;
    validate_process(&process)?;
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_has_a_bit_for_each_processor() {
        assert_eq!(mask_of(&[0, 1]), "0x3");
        assert_eq!(mask_of(&[3, 64]), "0x10000000000000008");
        assert_eq!(mask_of(&[]), "0x0");
    }
}
