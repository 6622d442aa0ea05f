//! Whoever is asked about calls whose action is `SCMP_ACT_NOTIFY`: gets the filter's listener with the state of the process
//! over a unix socket.
//!
//! Source: runtime-spec config-linux.md, The Container Process State.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt,
};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::spec::{OCI_VERSION, Seccomp, Spec};

/// How long a supervisor may take to read; a socket that nobody reads from fills up.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The supervisor of a container's filter.
#[derive(Clone, Debug)]
pub struct Supervisor {
    socket: String,
    metadata: String,
    id: String,
    bundle: String,
    annotations: BTreeMap<String, String>,
}

/// The `ContainerProcessState` of the runtime-spec.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'static str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: ContainerState<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerState<'a> {
    oci_version: &'static str,
    id: &'a str,
    status: &'static str,
    pid: i32,
    bundle: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl Supervisor {
    /// The one that a profile names.
    pub(super) fn of(profile: &Seccomp, spec: &Spec, id: &str, bundle: &Path) -> Self {
        Self {
            socket: profile.listener_path.clone(),
            metadata: profile.listener_metadata.clone(),
            id: id.to_owned(),
            bundle: bundle.display().to_string(),
            annotations: spec.annotations.clone(),
        }
    }

    /// Hands over the listener of a process: the container's first when `container_pid` is its own id, else one that
    /// joins.
    ///
    /// # Errors
    /// `Sys` when nobody listens or takes it.
    pub fn send(&self, listener: BorrowedFd<'_>, pid: i32, container_pid: i32) -> Result<()> {
        let state = self.state(pid, container_pid)?;
        let refused = |errno| {
            Error::sys(
                "failed to connect with seccomp agent specified in the seccomp profile:",
                &self.socket,
                errno,
            )
            .with_hint("start the agent that listens on linux.seccomp.listenerPath first")
        };
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(refused)?;
        // As in Go: a path that begins with @ is a name of the abstract kind.
        let address = match self.socket.strip_prefix('@') {
            Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            None => SocketAddrUnix::new(self.socket.as_str()),
        };
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(PATIENCE))
            .map_err(refused)?;
        connect(&socket, &address.map_err(refused)?).map_err(refused)?;
        sys::socket::send_descriptor(socket.as_fd(), &state, listener)
            .map_err(|error| Error::sys("send the seccomp listener to", &self.socket, error))
    }

    fn state(&self, pid: i32, container_pid: i32) -> Result<Vec<u8>> {
        let state = ProcessState {
            oci_version: OCI_VERSION,
            fds: ["seccompFd"],
            pid,
            metadata: &self.metadata,
            state: ContainerState {
                oci_version: OCI_VERSION,
                id: &self.id,
                status: if pid == container_pid {
                    "creating"
                } else {
                    "running"
                },
                pid: container_pid,
                bundle: &self.bundle,
                annotations: &self.annotations,
            },
        };
        serde_json::to_vec(&state)
            .map_err(|error| Error::invalid(format!("encode the state: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_state_is_that_of_the_runtime_spec() {
        let spec: Spec = serde_json::from_value(json!({
            "ociVersion": "1.0.0",
            "annotations": {"a": "b"},
            "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "listenerMetadata": "bar"}},
        }))
        .unwrap();
        let profile = spec.linux.as_ref().unwrap().seccomp.as_ref().unwrap();
        let supervisor = Supervisor::of(profile, &spec, "x", Path::new("/bundle"));
        let state: serde_json::Value =
            serde_json::from_slice(&supervisor.state(8, 7).unwrap()).unwrap();
        assert_eq!(
            state,
            json!({
                "ociVersion": OCI_VERSION, "fds": ["seccompFd"], "pid": 8, "metadata": "bar",
                "state": {"ociVersion": OCI_VERSION, "id": "x", "status": "running", "pid": 7, "bundle": "/bundle", "annotations": {"a": "b"}},
            })
        );
    }

    #[test]
    fn a_supervisor_that_is_not_there_is_named() {
        let profile = Seccomp {
            listener_path: "/nowhere/agent.sock".into(),
            ..Seccomp::default()
        };
        let supervisor = Supervisor::of(&profile, &Spec::default(), "x", Path::new("/"));
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = supervisor.send(null.as_fd(), 1, 1).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("failed to connect with seccomp agent")
                && error.to_string().contains("/nowhere/agent.sock"),
            "{error}"
        );
    }
}
