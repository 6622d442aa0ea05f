//! Hooks: programs of the caller, run at points of a container's life with its state on standard input.
//!
//! Source: runtime-spec config.md, POSIX-platform Hooks.

use std::io::Write as _;
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

    /// The same in that process itself, for as long as the host's /proc is in sight: there it finds its id on the host.
    pub(crate) fn of_child(id: &str, bundle: &Path, status: &str, spec: &Spec) -> Self {
        let pid = std::fs::read_link("/proc/self")
            .ok()
            .and_then(|pid| pid.to_str()?.parse().ok());
        Self::new(id, bundle, status, pid, spec)
    }
}

/// Runs hooks one after the other.
///
/// # Errors
/// `Invalid` when one cannot be run, ends with another status than 0, or takes longer than its timeout.
pub fn run_all(hooks: &[Hook], state: &StateForHook) -> Result<()> {
    let json = serde_json::to_vec(state)
        .map_err(|error| Error::invalid(format!("encode the state: {error}")))?;
    hooks.iter().try_for_each(|hook| run(hook, &json))
}

fn run(hook: &Hook, state: &[u8]) -> Result<()> {
    let refused =
        |reason: String| Error::invalid(format!("hook {}: {reason}", hook.path)).in_step("hook");
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        command.args(arguments);
    }
    command.env_clear();
    command.envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| refused(error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        // A hook need not read its input.
        drop(input.write_all(state));
    }
    if let Some(seconds) = hook.timeout.filter(|seconds| *seconds > 0) {
        let seconds = u64::try_from(seconds).unwrap_or(1);
        if !ends_within(&child, Duration::from_secs(seconds))? {
            drop(child.kill());
            drop(child.wait());
            return Err(refused(format!("not done after {seconds} s")));
        }
    }
    let status = child.wait().map_err(|error| refused(error.to_string()))?;
    if status.success() {
        Ok(())
    } else {
        Err(refused(words(status)))
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

fn ends_within(child: &std::process::Child, limit: Duration) -> Result<bool> {
    let error = |errno| Error::sys("wait for", "a hook", errno);
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or_else(|| error(Errno::SRCH))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(error)?;
    let limit = Timespec::try_from(limit).map_err(|_| error(Errno::INVAL))?;
    loop {
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(error(errno)),
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
        run_all(&[hook(&format!("cat > {}", out.display()), None)], &state()).unwrap();
        let seen: serde_json::Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
        assert_eq!(
            (seen["id"].as_str(), seen["pid"].as_i64()),
            (Some("x"), Some(7))
        );
    }

    #[test]
    fn a_hook_that_says_no_or_never_ends_is_an_error() {
        let error = run_all(&[hook("exit 3", None)], &state()).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        let error = run_all(&[hook("sleep 100", Some(1))], &state()).unwrap_err();
        assert!(error.to_string().contains("not done after 1 s"), "{error}");
    }
}
