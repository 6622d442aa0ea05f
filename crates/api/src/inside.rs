//! What a container is made of, read from the live kernel.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::EngineName;

/// What a fact means and how to see it oneself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// What it means, in one plain sentence.
    pub sentence: String,
    /// The kernel file it was read from, or the field of the engine's answer.
    pub source: String,
    /// A command that shows it.
    pub command: String,
}

/// How far the facts can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Read from the kernel.
    Measured,
    /// What the engine was told; nobody looked.
    Declared,
}

/// The inside of a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Inside {
    /// The engine.
    pub engine: EngineName,
    /// The container's id.
    pub id: String,
    /// When it was read, milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Measured or declared.
    pub certainty: Certainty,
    /// Why it is only declared, or what could not be read.
    pub notes: Vec<String>,
    /// The first process as the host sees it; absent when it does not run.
    pub pid: Option<u32>,
    /// Its namespaces.
    pub namespaces: Vec<NamespaceFact>,
    /// Its control groups.
    pub cgroup: CgroupFacts,
    /// Its capabilities.
    pub capabilities: CapabilityFacts,
    /// Its system call filter and other confinement.
    pub confinement: Vec<ConfinementFact>,
    /// How its users and groups map to the host's.
    pub id_maps: Vec<IdMapFact>,
    /// What is mounted in it.
    pub mounts: Vec<MountFact>,
    /// The layers of its root file system, topmost first.
    pub layers: Vec<LayerFact>,
    /// Its processes.
    pub processes: Vec<ProcessFact>,
    /// Its network interfaces.
    pub interfaces: Vec<InterfaceFact>,
    /// What listens in it.
    pub sockets: Vec<SocketFact>,
}

/// A namespace that the container is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamespaceFact {
    /// `pid`, `mnt`, `net`, `uts`, `ipc`, `user`, `cgroup`, `time`.
    pub kind: String,
    /// Its inode number.
    pub inode: Option<u64>,
    /// The inode number of the host's.
    pub host_inode: Option<u64>,
    /// It is the host's own: nothing is isolated here.
    pub shared_with_host: bool,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// The control groups of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CgroupFacts {
    /// `v1`, `v2`, `hybrid`.
    pub mode: String,
    /// Where it is in each hierarchy.
    pub paths: Vec<CgroupPath>,
    /// Limits and live values.
    pub knobs: Vec<CgroupKnob>,
}

/// Where a container is in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CgroupPath {
    /// The controllers of this hierarchy, such as `memory` or `cpu,cpuacct`.
    pub controllers: String,
    /// 1 or 2.
    pub version: u8,
    /// The directory on the host.
    pub path: String,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// A limit with its live value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CgroupKnob {
    /// `memory`, `cpu`, `pids`, `io`, …
    pub controller: String,
    /// For people: `Memory limit`.
    pub title: String,
    /// The limit, for people; `none` when there is none, empty for what is only counted.
    pub limit: String,
    /// What is used now, for people; absent when nothing is.
    pub current: Option<String>,
    /// Used share of the limit, 0–100, when both are known.
    pub used_percent: Option<u8>,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// The capabilities of the first process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapabilityFacts {
    /// All that the kernel knows, each with what the process has of it.
    pub capabilities: Vec<CapabilityFact>,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// One capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CapabilityFact {
    /// Such as `CAP_NET_ADMIN`.
    pub name: String,
    /// In the effective set: the process has this power now.
    pub effective: bool,
    /// In the bounding set: it can never gain more than this.
    pub bounding: bool,
    /// What it allows, in a sentence.
    pub sentence: String,
}

/// Something else that confines the process: seccomp, `no_new_privs`, a security module, masked paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfinementFact {
    /// `seccomp`, `no_new_privs`, `lsm`, `read_only_root`, `oom_score_adj`.
    pub kind: String,
    /// For people: `System call filter`.
    pub title: String,
    /// Its value, for people: `filter (1 program)`.
    pub value: String,
    /// It protects; when false the page shows it in amber.
    pub protects: bool,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// One range of users or groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdMapFact {
    /// `uid` or `gid`.
    pub kind: String,
    /// First id inside.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// A mount in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MountFact {
    /// Where.
    pub target: String,
    /// What.
    pub source: String,
    /// Such as `overlay` or `tmpfs`.
    pub file_system: String,
    /// Such as `ro,nosuid`.
    pub options: String,
    /// It cannot be written.
    pub read_only: bool,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// One layer of the root file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LayerFact {
    /// 0 is the topmost.
    pub position: u32,
    /// The container writes here.
    pub writable: bool,
    /// Its directory on the host.
    pub path: String,
    /// Its size in bytes, when it was measured.
    pub size_bytes: Option<u64>,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// A process of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProcessFact {
    /// As the host sees it.
    pub pid: u32,
    /// As the container sees it.
    pub inner_pid: Option<u32>,
    /// Its parent as the host sees it.
    pub parent_pid: u32,
    /// Its user as the host sees it.
    pub uid: u32,
    /// Its state in words.
    pub state: String,
    /// Program and arguments. Untrusted.
    pub command: String,
    /// Threads.
    pub threads: u32,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
}

/// A network interface of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceFact {
    /// Its name inside.
    pub name: String,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its addresses with prefix length.
    pub addresses: Vec<String>,
    /// Received, in bytes.
    pub received_bytes_total: u64,
    /// Sent, in bytes.
    pub transmitted_bytes_total: u64,
    /// What it means and how to see it.
    pub evidence: Evidence,
}

/// A socket that listens in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SocketFact {
    /// `tcp`, `tcp6`, `udp`, `udp6`.
    pub protocol: String,
    /// The address it listens on.
    pub address: String,
    /// The port.
    pub port: u16,
    /// What it means and how to see it.
    pub evidence: Evidence,
}
