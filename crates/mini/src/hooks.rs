//! Hooks: programs of the caller, run at points of a container's life with its state on standard input.
//!
//! Source: runtime-spec config.md, POSIX-platform Hooks.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::spec::{Hook, Spec};

/// What a hook reads: the state of the runtime-spec.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateForHook {
    oci_version: String,
    id: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: String,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: std::collections::BTreeMap<String, String>,
}

impl StateForHook {
    /// The state of the container with its first process's id on the host.
    pub fn new(id: &str, bundle: &Path, status: &str, pid: Option<i32>, spec: &Spec) -> Self {
        Self {
            oci_version: crate::spec::OCI_VERSION.to_owned(),
            id: id.to_owned(),
            status: status.to_owned(),
            pid,
            bundle: bundle.display().to_string(),
            annotations: spec.annotations.clone(),
        }
    }

    /// The same in that process itself, with the id that it has in the container.
    pub(crate) fn of_child(id: &str, bundle: &Path, spec: &Spec) -> Self {
        let pid = rustix::process::getpid().as_raw_pid();
        Self::new(id, bundle, "creating", Some(pid), spec)
    }

    /// The same with another status.
    #[must_use]
    pub(crate) fn with_status(&self, status: &str) -> Self {
        Self {
            status: status.to_owned(),
            ..self.clone()
        }
    }
}

/// Runs the hooks of one kind (`createRuntime`, say) one after the other, until one fails.
///
/// A hook without an environment of its own gets `environment`.
///
/// # Errors
/// `Invalid` when one cannot be run, ends with another status than 0, or takes longer than its timeout.
pub fn run_all(
    kind: &str,
    hooks: &[Hook],
    state: &StateForHook,
    environment: &[String],
) -> Result<()> {
    for (index, hook) in hooks.iter().enumerate() {
        run(hook, state, environment).map_err(|reason| failed(kind, index, hook, &reason))?;
    }
    Ok(())
}

fn failed(kind: &str, index: usize, hook: &Hook, reason: &str) -> Error {
    Error::invalid(format!(
        "error running {kind} hook #{index}: {}: {reason}",
        hook.path
    ))
    .in_step("hook")
    .with_hint(remedy(reason))
}

fn remedy(reason: &str) -> &'static str {
    if reason.starts_with(NOT_DONE) {
        "raise the hook's timeout in config.json, or find what it waits for"
    } else if reason.contains("(os error") {
        "hooks[].path must be a program that may be run, on the host (that of startContainer in the container)"
    } else {
        "the hook itself refuses: its own output or log says why"
    }
}

const NOT_DONE: &str = "not done after";

fn run(hook: &Hook, state: &StateForHook, environment: &[String]) -> Result<(), String> {
    let json = serde_json::to_vec(state).map_err(|error| error.to_string())?;
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        command.args(arguments);
    }
    let environment = if hook.env.is_empty() {
        environment
    } else {
        &hook.env
    };
    command.env_clear();
    command.envs(environment.iter().filter_map(|entry| entry.split_once('=')));
    let output = keep_output(&mut command);
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // A hook need not read its input.
        drop(input.write_all(&json));
    }
    if let Some(seconds) = hook.timeout {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        if !ends_within(&child, Duration::from_secs(seconds))
            .map_err(|errno| format!("wait: {errno}"))?
        {
            drop(child.kill());
            drop(child.wait());
            return Err(format!("{NOT_DONE} {seconds} s"));
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}{}", words(status), shown(output)))
    }
}

/// How a hook ended, as Go says it: that is what tools look for in what runc prints.
fn words(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let name = match status.signal() {
        Some(6) => "aborted",
        Some(9) => "killed",
        Some(11) => "segmentation fault",
        Some(13) => "broken pipe",
        Some(15) => "terminated",
        Some(31) => "bad system call",
        Some(other) => return format!("signal: {other}"),
        None => return status.to_string(),
    };
    format!("signal: {name}")
}

/// What a hook says is kept in memory, to be told of when it fails: a pipe might fill up, or never end.
fn keep_output(command: &mut Command) -> Option<File> {
    // A filter of the container may forbid it; then the hook speaks to our own streams.
    let output = rustix::fs::memfd_create("hook", rustix::fs::MemfdFlags::CLOEXEC)
        .map(File::from)
        .ok()?;
    command.stdout(output.try_clone().ok()?);
    command.stderr(output.try_clone().ok()?);
    Some(output)
}

/// The most bytes of a hook's output that are told of.
const MAX_SHOWN_BYTES: u64 = 4096;

fn shown(output: Option<File>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut output) = output
        && output.rewind().is_ok()
        && output.take(MAX_SHOWN_BYTES).read_to_end(&mut bytes).is_ok()
        && !bytes.is_empty()
    {
        return format!(", output: {}", String::from_utf8_lossy(&bytes).trim_end());
    }
    String::new()
}

fn ends_within(child: &std::process::Child, limit: Duration) -> Result<bool, Errno> {
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or(Errno::SRCH)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit).map_err(|_| Errno::INVAL)?;
    loop {
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout: Option<i64>) -> Hook {
        Hook {
            path: "/bin/sh".into(),
            args: vec!["sh".into(), "-c".into(), script.into()],
            timeout,
            ..Hook::default()
        }
    }

    fn state() -> StateForHook {
        StateForHook::new(
            "x",
            Path::new("/bundle"),
            "creating",
            Some(7),
            &Spec::default(),
        )
    }

    #[test]
    fn a_hook_reads_the_state() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        run_all(
            "createRuntime",
            &[hook(&format!("cat > {}", out.display()), None)],
            &state(),
            &[],
        )
        .unwrap();
        let seen: serde_json::Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
        assert_eq!(
            (seen["id"].as_str(), seen["pid"].as_i64()),
            (Some("x"), Some(7))
        );
    }

    #[test]
    fn a_hook_that_says_no_or_never_ends_is_an_error() {
        let error = run_all(
            "prestart",
            &[hook("true", None), hook("exit 3", None)],
            &state(),
            &[],
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "error running prestart hook #1: /bin/sh: exit status: 3"
        );
        let error = run_all("prestart", &[hook("sleep 100", Some(1))], &state(), &[]).unwrap_err();
        assert!(error.to_string().contains("not done after 1 s"), "{error}");
    }

    #[test]
    fn what_a_hook_that_fails_has_said_is_told() {
        let hooks = [hook("echo one; echo two >&2; exit 1", None)];
        let error = run_all("poststart", &hooks, &state(), &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("exit status: 1, output: one\ntwo"),
            "{error}"
        );
    }

    #[test]
    fn a_hook_without_an_environment_gets_the_given_one() {
        let given = ["A=1".to_owned()];
        let mut own = hook("test \"$A$B\" = 2", None);
        own.env = vec!["B=2".into()];
        let hooks = [hook("test \"$A\" = 1", None), own];
        run_all("startContainer", &hooks, &state(), &given).unwrap();
    }
}
