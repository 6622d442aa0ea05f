//! The record of a start: each step with its duration, its system calls and what it made, by the process that takes it.
//!
//! Off, a step costs one look at a flag. On, the objects are read back from the kernel, not repeated from what was asked for.

pub mod objects;

use std::path::Path;

use shim_protocol::{TRACE_VERSION, TraceActor, TraceDocument, TraceObject, TraceStep};

use crate::clock;
use crate::error::{Error, Result};

/// Steps taken so far; records nothing unless asked to.
#[derive(Debug)]
pub struct Trace {
    on: bool,
    by: TraceActor,
    origin_ns: u64,
    began_at_unix_ns: i64,
    steps: Vec<TraceStep>,
}

impl Trace {
    /// An empty trace that begins now.
    pub fn new(on: bool) -> Self {
        Self {
            on,
            by: TraceActor::Runtime,
            origin_ns: if on { clock::monotonic_ns() } else { 0 },
            began_at_unix_ns: if on { clock::unix_ns() } else { 0 },
            steps: Vec::new(),
        }
    }

    /// Takes a step: its name goes to the error, and into the trace with duration and what `detail` says.
    ///
    /// # Errors
    /// That of the step.
    pub fn step<T>(
        &mut self,
        name: &'static str,
        detail: impl FnOnce() -> String,
        step: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if !self.on {
            return step().map_err(|error| error.in_step(name));
        }
        let start = clock::monotonic_ns();
        let result = step().map_err(|error: Error| error.in_step(name));
        let end = clock::monotonic_ns();
        self.steps.push(TraceStep {
            step: name.into(),
            start_ns: start.saturating_sub(self.origin_ns),
            duration_ns: end.saturating_sub(start),
            detail: detail(),
            by: self.by,
            calls: calls(name).iter().map(|&call| call.to_owned()).collect(),
            objects: Vec::new(),
            error: result.as_ref().err().map(ToString::to_string),
        });
        result
    }

    /// Adds what the last step has made; asked for only when it is recorded.
    pub fn made<I: IntoIterator<Item = TraceObject>>(&mut self, objects: impl FnOnce() -> I) {
        if self.on
            && let Some(step) = self.steps.last_mut()
        {
            step.objects.extend(objects());
        }
    }

    /// Adds steps that another process took on the same clock.
    pub fn extend(&mut self, steps: Vec<TraceStep>) {
        self.steps.extend(steps);
    }

    /// In the child: forgets the parent's steps, and goes on as another's; the clock is the same.
    pub fn continue_in_child(&mut self) {
        self.steps.clear();
        self.by = TraceActor::Container;
    }

    /// Takes the steps so far out of it.
    pub fn take_steps(&mut self) -> Vec<TraceStep> {
        std::mem::take(&mut self.steps)
    }

    /// The steps so far, as they were recorded.
    pub fn steps(&self) -> &[TraceStep] {
        &self.steps
    }

    /// Whether steps are recorded.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The steps in the order they began, a refused one last: what follows it in time is another process's, which had not
    /// heard yet. When the error came without a step of its own, it gets one.
    pub fn into_steps(mut self, error: Option<&Error>) -> Vec<TraceStep> {
        if !self.on {
            return Vec::new();
        }
        self.steps.sort_by_key(|step| step.start_ns);
        let Some(error) = error else {
            return self.steps;
        };
        let text = error.to_string();
        let refused = self
            .steps
            .iter()
            .rposition(|step| step.error.as_ref() == Some(&text));
        // The last two are recorded before they are done: behind them is another program.
        let refused = refused.or_else(|| {
            self.steps.iter().rposition(|step| {
                step.step == error.step() && matches!(step.step.as_str(), "execve" | "seccomp")
            })
        });
        let last = match refused {
            Some(index) => TraceStep {
                error: Some(text),
                ..self.steps.remove(index)
            },
            None => TraceStep {
                step: error.step().to_owned(),
                start_ns: clock::monotonic_ns().saturating_sub(self.origin_ns),
                by: self.by,
                error: Some(text),
                ..TraceStep::default()
            },
        };
        self.steps.push(last);
        self.steps
    }

    /// Writes the record to a file, as one [`TraceDocument`]; nothing when it is off.
    ///
    /// # Errors
    /// `Sys`.
    pub fn write(self, path: &Path, command: &str, id: &str, error: Option<&Error>) -> Result<()> {
        if !self.on {
            return Ok(());
        }
        let document = TraceDocument {
            version: TRACE_VERSION,
            command: command.into(),
            id: id.into(),
            began_at_unix_ns: self.began_at_unix_ns,
            error: error.map(ToString::to_string),
            failed_step: error.map(|error| error.step().to_owned()),
            steps: self.into_steps(error),
        };
        let mut json = serde_json::to_vec_pretty(&document)
            .map_err(|error| Error::invalid(format!("encode the trace: {error}")))?;
        json.push(b'\n');
        std::fs::write(path, json)
            .map_err(|error| Error::sys("write the trace", path.display(), error))
    }
}

/// The system calls that matter in a step, in the order they are made: those that change something, not each `openat2` that
/// leads there.
fn calls(step: &str) -> &'static [&'static str] {
    match step {
        "read_bundle" | "cgroup_layout" => &["openat", "read"],
        "state_create" | "cgroup_create" => &["mkdir", "write"],
        "clone3" => &["clone3"],
        "limits" | "device_rules" | "sysctls" => &["openat", "write"],
        "state" => &["write", "rename"],
        "setup" => &["close_range", "prctl", "setsid", "keyctl"],
        "namespaces" => &["setns"],
        "names" => &["sethostname", "setdomainname"],
        "detach_mounts" => &["mount_setattr", "open_tree", "move_mount"],
        "mount" => &[
            "fsopen",
            "fsconfig",
            "fsmount",
            "open_tree",
            "mount_setattr",
            "move_mount",
        ],
        "devices" => &["mknodat", "symlinkat"],
        "terminal" => &["openat2", "ioctl", "open_tree", "move_mount"],
        "masks" => &["open_tree", "mount_setattr", "move_mount", "statx"],
        "wait_for_limits" => &["recvfrom"],
        "enter_cgroup" => &["write"],
        "cgroup_namespace" => &["unshare"],
        "hooks" => &["execve", "wait4"],
        "pivot_root" => &["pivot_root", "umount2"],
        "attributes" => &[
            "sched_setattr",
            "ioprio_set",
            "sched_setaffinity",
            "set_mempolicy",
            "personality",
        ],
        "rlimits" => &["prlimit64"],
        "user" => &["prctl", "setgroups", "setresgid", "setresuid", "capset"],
        "cwd" => &["chdir", "getcwd"],
        "find_program" => &["stat", "faccessat2"],
        "seccomp" => &["seccomp"],
        "execve" => &["execve"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_asks_for_nothing() {
        let mut trace = Trace::new(false);
        trace
            .step("mount", || panic!("formatted"), || Ok(()))
            .unwrap();
        trace.made(|| -> Vec<TraceObject> { panic!("looked") });
        assert!(trace.into_steps(Some(&Error::invalid("x"))).is_empty());
    }

    #[test]
    fn off_a_refused_step_still_has_its_name() {
        let error = Trace::new(false)
            .step("mount", String::new, || Err::<(), _>(Error::invalid("no")))
            .unwrap_err();
        assert_eq!(error.step(), "mount");
    }

    #[test]
    fn the_refused_step_comes_last() {
        let mut trace = Trace::new(true);
        let refused = trace
            .step(
                "limits",
                || "memory".into(),
                || Err::<(), _>(Error::invalid("too little")),
            )
            .unwrap_err();
        trace.step("mount", String::new, || Ok(())).unwrap();
        trace.made(|| [TraceObject::Process { pid: 1 }]);
        let steps = trace.into_steps(Some(&refused));
        let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
        assert_eq!(names, ["mount", "limits"]);
        assert_eq!(steps[0].objects, [TraceObject::Process { pid: 1 }]);
        assert_eq!(steps[1].error.as_deref(), Some("too little"));
    }

    #[test]
    fn an_error_without_a_step_of_its_own_gets_one() {
        let trace = Trace::new(true);
        let steps = trace.into_steps(Some(&Error::invalid("gone").in_step("clone3")));
        assert_eq!(steps.last().unwrap().step, "clone3");
        assert_eq!(steps.last().unwrap().error.as_deref(), Some("gone"));
    }
}
