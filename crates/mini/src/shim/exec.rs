//! One more process in the container.

use std::os::fd::{AsFd, BorrowedFd};

use cgroups::Cgroup;
use shim_protocol::ExecRequest;
use sys::namespace::Namespaces;

use crate::error::{Error, Result};
use crate::process::attributes::Attributes;
use crate::process::exec::join;
use crate::process::finish::Stdio;
use crate::process::init::Wishes;
use crate::process::join::JoinPlan;
use crate::process::spawn::Spawned;
use crate::seccomp::Filter;
use crate::shim::streams::Streams;
use crate::spec::Process;
use crate::trace::Trace;
use crate::validate::validate_process;

/// What joining needs of the container.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joinable<'a> {
    pub(crate) id: &'a str,
    pub(crate) namespaces: Namespaces,
    pub(crate) attributes: &'a Attributes,
    pub(crate) seccomp: Option<&'a Filter>,
}

/// Starts the process with its own streams.
pub(crate) fn start(
    container: &Joinable<'_>,
    cgroup: &Cgroup,
    (init, init_pid): (BorrowedFd<'_>, i32),
    request: &ExecRequest,
) -> Result<(Spawned, Streams)> {
    let process = Process::deserialize_from(&request.process)?;
    validate_process(&process)?;
    let mut trace = Trace::new(false);
    let plan = |stdio| JoinPlan {
        id: container.id,
        cgroup,
        moved_by: None,
        process: &process,
        attributes: container.attributes,
        seccomp: container.seccomp,
        init,
        init_pid,
        namespaces: container.namespaces,
        stdio,
        console_size: request.console_size,
        wishes: Wishes::default(),
    };
    if process.terminal {
        let mut spawned = join(plan(Stdio::Terminal), &mut trace)?;
        let master = spawned
            .terminal
            .take()
            .ok_or_else(|| Error::invalid("no terminal came from the process"))?;
        return Ok((spawned, Streams::terminal(master)?));
    }
    let (streams, ends) = Streams::pipes(request.streams.stdin)?;
    let stdio = Stdio::Descriptors([ends.input.as_fd(), ends.output.as_fd(), ends.errors.as_fd()]);
    Ok((join(plan(stdio), &mut trace)?, streams))
}

impl Process {
    fn deserialize_from(json: &serde_json::Value) -> Result<Self> {
        serde::Deserialize::deserialize(json)
            .map_err(|error| Error::invalid(format!("read the process: {error}")))
    }
}
