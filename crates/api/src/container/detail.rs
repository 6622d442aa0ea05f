//! A container in full.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ContainerSummary, Health, Limits, RestartPolicy};

/// A container in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerDetail {
    /// As in the list.
    pub summary: ContainerSummary,
    /// Program and arguments that run before the command.
    pub entrypoint: Vec<String>,
    /// The command.
    pub command: Vec<String>,
    /// Directory it starts in.
    pub working_dir: String,
    /// User it runs as; empty for the image's, which is root when that says nothing.
    pub user: String,
    /// Its host name.
    pub hostname: String,
    /// Environment, with secrets masked.
    pub env: Vec<EnvEntry>,
    /// It has a terminal.
    pub tty: bool,
    /// Standard input is kept open.
    pub open_stdin: bool,
    /// It is removed when it ends.
    pub auto_remove: bool,
    /// The signal that asks it to stop.
    pub stop_signal: String,
    /// How long it has to stop before it is killed, in seconds.
    pub stop_timeout_s: Option<i64>,
    /// Its limits.
    pub limits: Limits,
    /// What happens when it ends.
    pub restart_policy: RestartPolicy,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// Its networks.
    pub networks: Vec<NetworkAttachment>,
    /// `bridge`, `host`, `none`, `container:…` or a network's name.
    pub network_mode: String,
    /// Its health check.
    pub health: Option<HealthDetail>,
    /// Why it ended or did not start.
    pub exit: Option<ExitExplanation>,
    /// Every privilege.
    pub privileged: bool,
    /// The root file system cannot be written.
    pub read_only_rootfs: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Such as `no-new-privileges`.
    pub security_options: Vec<String>,
    /// The runtime.
    pub runtime: String,
    /// Where logs go.
    pub log_driver: String,
    /// The storage driver.
    pub storage_driver: String,
    /// Such as `linux`.
    pub platform: String,
    /// What it wrote over its image, in bytes; absent when not measured.
    pub size_writable_bytes: Option<u64>,
}

/// One variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvEntry {
    /// Its name.
    pub key: String,
    /// Its value; absent when masked.
    pub value: Option<String>,
    /// The name looks like a secret's, or the role may not see values.
    pub masked: bool,
}

/// Asks for one masked value; administrators only, and written to the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealRequest {
    /// The variable's name.
    pub key: String,
}

/// The answer to a [`RevealRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revealed {
    /// The variable's name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What kind of mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A volume.
    Volume,
    /// A path of the engine's machine.
    Bind,
    /// Memory.
    Tmpfs,
    /// Anything else.
    Other,
}

/// A mount of a container, as the engine was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    /// What kind.
    pub kind: MountKind,
    /// The volume's name.
    pub volume: Option<String>,
    /// Path on the engine's machine.
    pub source: String,
    /// Path inside.
    pub target: String,
    /// It cannot be written.
    pub read_only: bool,
}

/// A container on a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkAttachment {
    /// The network's name.
    pub network: String,
    /// The network's id.
    pub network_id: String,
    /// IPv4 address.
    pub ipv4: Option<String>,
    /// IPv6 address.
    pub ipv6: Option<String>,
    /// Gateway.
    pub gateway: Option<String>,
    /// Hardware address.
    pub mac: Option<String>,
    /// Names it is found by there.
    pub aliases: Vec<String>,
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthDetail {
    /// What it says.
    pub status: Health,
    /// Bad checks in a row.
    pub failing_streak: u64,
    /// Its command.
    pub test: Vec<String>,
    /// The last checks, newest last.
    pub probes: Vec<HealthProbe>,
}

/// One health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthProbe {
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// Its exit code; 0 is good.
    pub exit_code: i64,
    /// What it printed, cut to 4 KiB. Untrusted.
    pub output: String,
}

/// How sure an explanation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The evidence leaves nothing else.
    Certain,
    /// The evidence points to it.
    Likely,
    /// Nobody can tell from outside.
    Unknown,
}

/// Why a container ended or did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExitExplanation {
    /// In a few words: `Killed: out of memory, limit 32 MiB`.
    pub title: String,
    /// In a sentence or two.
    pub sentence: String,
    /// How sure that is.
    pub grade: Grade,
    /// What it rests on.
    pub evidence: Vec<String>,
    /// What to do next.
    pub next_step: Option<String>,
}

/// The engine's own answer to inspect, secrets masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RawInspect {
    /// JSON as the engine sent it.
    #[schema(value_type = Object)]
    pub json: serde_json::Value,
}

/// Processes as the engine's `top` shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Top {
    /// Names of the columns.
    pub titles: Vec<String>,
    /// A row a process.
    pub processes: Vec<Vec<String>>,
}

/// Labels by name.
pub type Labels = BTreeMap<String, String>;
