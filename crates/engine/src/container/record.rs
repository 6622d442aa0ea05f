//! A container as it is kept: `containers/ID/container.json`.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{ContainerConfig, EndpointSettings, HostConfig};
use serde::{Deserialize, Serialize};

use super::mounts::MountRecord;
use crate::image::Digest;

/// A container, with everything that its next start needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    /// 64 hex digits.
    pub(crate) id: String,
    /// Without a slash.
    pub(crate) name: String,
    /// Nanoseconds since the Unix epoch.
    pub(crate) created_ns: i64,
    /// The image.
    pub(crate) image: Digest,
    /// What its creator asked for, the image's defaults put in.
    pub(crate) config: ContainerConfig,
    /// The same of the host's side, defaults put in.
    pub(crate) host_config: HostConfig,
    /// The networks it is on from its next start, by the name or id that was asked for.
    pub(crate) endpoints: BTreeMap<String, EndpointSettings>,
    /// What is mounted into it, in order of destination.
    pub(crate) mounts: Vec<MountRecord>,
    /// How it is.
    pub(crate) state: StateRecord,
}

/// How a container is, as far as that outlives the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    /// Where in its life it is.
    pub(crate) status: Status,
    /// Start of the last run, nanoseconds since the Unix epoch.
    pub(crate) started_ns: Option<i64>,
    /// End of the last run.
    pub(crate) finished_ns: Option<i64>,
    /// Status of the last run: 0–255, or 128 + signal.
    pub(crate) exit_code: i32,
    /// Why the last start did not work; empty when it did.
    pub(crate) error: String,
    /// The kernel killed a process of the last run for lack of memory.
    pub(crate) oom_killed: bool,
    /// How often the restart policy has started it since someone started it.
    pub(crate) restart_count: u32,
    /// Someone stopped it: `unless-stopped` leaves it so.
    pub(crate) stopped_by_user: bool,
}

/// Where in its life a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Never started.
    Created,
    /// Its first process runs.
    Running,
    /// Its first process has ended.
    Exited,
}

impl StateRecord {
    /// The state of a new container.
    pub(crate) fn created() -> Self {
        Self {
            status: Status::Created,
            started_ns: None,
            finished_ns: None,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            restart_count: 0,
            stopped_by_user: false,
        }
    }
}

impl ContainerRecord {
    /// The record of a container of which nothing but its id is known.
    pub(super) fn of_stranger(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: String::new(),
            created_ns: 0,
            image: Digest::of(b""),
            config: ContainerConfig::default(),
            host_config: HostConfig::default(),
            endpoints: BTreeMap::new(),
            mounts: Vec::new(),
            state: StateRecord::created(),
        }
    }

    /// Its labels.
    pub(crate) fn labels(&self) -> &HashMap<String, String> {
        static NONE: std::sync::LazyLock<HashMap<String, String>> =
            std::sync::LazyLock::new(HashMap::new);
        self.config.labels.as_ref().unwrap_or(&NONE)
    }

    /// The image as its creator named it.
    pub(crate) fn image_name(&self) -> &str {
        self.config
            .image
            .as_deref()
            .unwrap_or_else(|| self.image.as_str())
    }

    /// Whether it has a terminal.
    pub(crate) fn has_terminal(&self) -> bool {
        self.config.tty == Some(true)
    }

    /// Whether it is removed as soon as it has ended.
    pub(crate) fn auto_remove(&self) -> bool {
        self.host_config.auto_remove == Some(true)
    }

    /// The program with its arguments: entry point, then command.
    pub(crate) fn command_line(&self) -> Vec<String> {
        let part = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
        let mut line = part(&self.config.entrypoint);
        line.extend(part(&self.config.cmd));
        line
    }
}
