//! Making a container, and changing what may change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Protocol;
use crate::{
    id::{ContainerId, ImageId},
    revision::Revision,
};

/// Makes a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerCreateRequest {
    /// Its name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`; the engine picks one when absent.
    pub name: Option<String>,
    /// The image, such as `busybox:1.36`.
    pub image: String,
    /// The command with its arguments; the image's when absent.
    pub command: Option<Vec<String>>,
    /// What runs before the command; the image's when absent.
    pub entrypoint: Option<Vec<String>>,
    /// Directory it starts in; the image's when absent.
    pub working_dir: Option<String>,
    /// User it runs as, `name`, `uid` or `uid:gid`; the image's when absent.
    pub user: Option<String>,
    /// Its host name; the first digits of its id when absent.
    pub hostname: Option<String>,
    /// Environment.
    pub env: Vec<EnvVar>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// A terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub open_stdin: bool,
    /// Remove it when it ends.
    pub auto_remove: bool,
    /// A tiny first process that passes signals on and collects orphans.
    pub init: bool,
    /// Published ports.
    pub ports: Vec<PortRequest>,
    /// Mounts.
    pub mounts: Vec<MountRequest>,
    /// Limits.
    pub limits: Limits,
    /// What happens when it ends.
    pub restart_policy: RestartPolicy,
    /// `bridge` when absent, `none`, or a network's name; `host` and `container:…` for administrators only.
    pub network: Option<String>,
    /// The root file system cannot be written.
    pub read_only_rootfs: bool,
    /// Every privilege; administrators only.
    pub privileged: bool,
    /// Capabilities to add; administrators only.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Share the host's processes (`host`); administrators only.
    pub pid_mode: Option<String>,
    /// Start it, too.
    pub start: bool,
}

/// One variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvVar {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A port to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PortRequest {
    /// The port inside.
    pub container_port: u16,
    /// The port on the host; a free one when absent.
    pub host_port: Option<u16>,
    /// The address on the host; all when absent.
    pub host_ip: Option<String>,
    /// TCP when absent.
    pub protocol: Protocol,
}

/// What kind of mount is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MountRequestKind {
    /// A volume, made when it does not exist.
    #[default]
    Volume,
    /// A path of the engine's machine; administrators only.
    Bind,
    /// Memory.
    Tmpfs,
}

/// A mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MountRequest {
    /// What kind.
    pub kind: MountRequestKind,
    /// The volume's name or the path on the engine's machine; a volume without a name when absent.
    pub source: Option<String>,
    /// Absolute path inside.
    pub target: String,
    /// It cannot be written.
    pub read_only: bool,
    /// Size of a tmpfs, in bytes.
    pub size_bytes: Option<u64>,
}

/// Limits of a container; absent is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory in bytes; at least 6 MiB.
    pub memory_bytes: Option<u64>,
    /// Memory and swap together, in bytes; -1 is no limit on swap.
    pub memory_swap_bytes: Option<i64>,
    /// What the engine tries to bring it down to under pressure, in bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// Processors: 0.5 is half of one.
    pub cpus: Option<f64>,
    /// Weight against others, 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// The processors it may run on, such as `0-1,3`.
    pub cpuset: Option<String>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Weight of block I/O, 10–1000.
    pub blkio_weight: Option<u16>,
}

/// What happens when a container ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicyName {
    /// Nothing.
    #[default]
    No,
    /// It starts again when its exit code is not 0.
    OnFailure,
    /// It always starts again.
    Always,
    /// It always starts again unless a user stopped it.
    UnlessStopped,
}

/// What happens when a container ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestartPolicy {
    /// What.
    pub name: RestartPolicyName,
    /// With `on_failure`: how often at most.
    pub maximum_retry_count: Option<u32>,
}

/// A container was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContainerCreated {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It was started, too.
    pub started: bool,
    /// What the engine warned of.
    pub warnings: Vec<String>,
    /// When the live list shows it.
    pub rev: Option<Revision>,
}

/// Changes limits or the restart policy of a container; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerUpdateRequest {
    /// New limits; those absent stay as they are.
    pub limits: Limits,
    /// The new restart policy.
    pub restart_policy: Option<RestartPolicy>,
}

/// Gives a container another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameRequest {
    /// The new name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
    pub name: ContainerId,
}

/// An image named by a request that was checked.
pub type ImageReference = ImageId;
