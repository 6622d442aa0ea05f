//! What `config.json` asks for a process beyond its program and its user: scheduling, memory policy, execution domain;
//! and devices of the network and of the cache that the container gets.
//!
//! Source: runtime-spec config.md and config-linux.md, version 1.3.

use serde::{Deserialize, Serialize};

use crate::spec::null_is_default;

/// How a process is scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(
    missing_docs,
    reason = "fields are those of the runtime-spec, by their names there"
)]
pub struct Scheduler {
    pub policy: String,
    pub nice: i32,
    pub priority: i32,
    #[serde(deserialize_with = "null_is_default")]
    pub flags: Vec<String>,
    /// Nanoseconds.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// Priority of a process's input and output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as above")]
pub struct IoPriority {
    pub class: String,
    pub priority: i64,
}

/// Processors of a process that joins a container, as lists (`0-3,7`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CpuAffinity {
    /// Until it is in the container's cgroup; empty for no change.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial: String,
    /// From then on; empty for all that the cgroup has.
    #[serde(rename = "final", skip_serializing_if = "String::is_empty")]
    pub last: String,
}

/// An execution domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as above")]
pub struct Personality {
    pub domain: String,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub flags: Vec<String>,
}

/// On which NUMA nodes memory is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as above")]
pub struct MemoryPolicy {
    pub mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nodes: String,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub flags: Vec<String>,
}

/// A network device that the container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetDevice {
    /// Its name there; empty to keep the one it has.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Shares of cache and memory bandwidth (Intel RDT, `/sys/fs/resctrl`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "as above")]
pub struct IntelRdt {
    #[serde(rename = "closID", skip_serializing_if = "String::is_empty")]
    pub clos_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub l3_cache_schema: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mem_bw_schema: String,
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub schemata: Vec<String>,
    pub enable_monitoring: bool,
    /// Of version 1.2; superseded by `enableMonitoring`.
    #[serde(rename = "enableCMT")]
    pub enable_cmt: bool,
    /// As above.
    #[serde(rename = "enableMBM")]
    pub enable_mbm: bool,
}
