//! The live protocol on `/api/v1/live`: JSON text frames, many topics in one socket.
//!
//! A snapshot is the read; each delta takes the next `seq` of its topic. A client that sees another number than the next
//! drops its state and subscribes again without `from`. With `from` the server sends what was missed, or a snapshot.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    alert::Alert,
    container::ContainerSummary,
    engine::{EngineEvent, EngineInfo},
    host::HostFigures,
    id::{ContainerId, EngineName},
    image::ImageSummary,
    job::Job,
    log::LogLine,
    network::NetworkSummary,
    problem::Problem,
    stats::ContainerStats,
    volume::VolumeSummary,
};

/// Version of the protocol; another `v` in [`ServerMessage::Hello`] means: reload the page.
pub const VERSION: u32 = 1;

/// What the page sends.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Subscribes.
    Sub(Subscribe),
    /// Ends a subscription.
    Unsub {
        /// Which.
        id: u32,
    },
    /// Allows the server to send more log bytes.
    Credit {
        /// Of which subscription.
        id: u32,
        /// How many bytes more.
        bytes: u64,
    },
    /// Asks for [`ServerMessage::Pong`].
    Ping,
    /// Answers [`ServerMessage::Ping`].
    Pong,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct Subscribe {
    /// Chosen by the page, unique in this socket; every answer carries it.
    pub id: u32,
    /// To what.
    #[serde(flatten)]
    pub topic: Topic,
    /// What the page has already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Position>,
}

/// How far a page has got in a topic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Position {
    /// The topic's epoch.
    pub epoch: String,
    /// The last sequence number that was applied.
    pub seq: u64,
}

/// What can be subscribed to.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(tag = "topic", content = "args", rename_all = "snake_case")]
pub enum Topic {
    /// All engines: [`EnginesSnapshot`], [`EnginesDelta`].
    Engines(NoArgs),
    /// Containers of one engine: [`ContainersSnapshot`], [`ContainersDelta`].
    Containers(EngineArgs),
    /// Images of one engine: [`ImagesSnapshot`], [`ImagesDelta`].
    Images(EngineArgs),
    /// Volumes of one engine: [`VolumesSnapshot`], [`VolumesDelta`].
    Volumes(EngineArgs),
    /// Networks of one engine: [`NetworksSnapshot`], [`NetworksDelta`].
    Networks(EngineArgs),
    /// Jobs: [`JobsSnapshot`], [`JobsDelta`].
    Jobs(NoArgs),
    /// Alerts, those that fire and the newest of those that are over: [`AlertsSnapshot`], [`AlertsDelta`].
    Alerts(NoArgs),
    /// Events of one engine, newest last: [`EventsSnapshot`], [`EventsDelta`].
    Events(EngineArgs),
    /// Figures of one engine's containers, the latest wins: [`StatsSnapshot`] both times.
    Stats(StatsArgs),
    /// Figures of the host, the latest wins: [`HostSnapshot`] both times.
    Host(RateArgs),
    /// Lines of one container's log: [`LogBatch`] both times.
    Logs(LogsArgs),
}

impl Topic {
    /// The engine that it is about; `None` when it is not about a single one.
    pub fn engine(&self) -> Option<&EngineName> {
        match self {
            Self::Engines(_) | Self::Jobs(_) | Self::Alerts(_) | Self::Host(_) => None,
            Self::Containers(args)
            | Self::Images(args)
            | Self::Volumes(args)
            | Self::Networks(args)
            | Self::Events(args) => Some(&args.engine),
            Self::Stats(args) => Some(&args.engine),
            Self::Logs(args) => Some(&args.engine),
        }
    }
}

/// No arguments: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct NoArgs {}

/// Of one engine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct EngineArgs {
    /// The engine.
    pub engine: EngineName,
}

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct RateArgs {
    /// Times a second, 0.1–2; 1 when absent.
    #[serde(default)]
    pub hz: Option<f64>,
}

/// Whose figures, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct StatsArgs {
    /// The engine.
    pub engine: EngineName,
    /// Only this container.
    #[serde(default)]
    pub container: Option<ContainerId>,
    /// Times a second, 0.1–2; 1 when absent.
    #[serde(default)]
    pub hz: Option<f64>,
}

/// Whose lines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct LogsArgs {
    /// The engine.
    pub engine: EngineName,
    /// The container.
    pub container: ContainerId,
    /// The newest so many lines first; 500 when absent, at most 10,000.
    #[serde(default)]
    pub tail: Option<u32>,
    /// Only lines after this: the last [`LogBatch::cursor`] resumes without loss or doubles; a time (RFC 3339) works too.
    #[serde(default)]
    pub since: Option<String>,
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The first message.
    Hello(Hello),
    /// The whole state of a topic: replaces what the page has.
    Snap {
        /// Of which subscription.
        id: u32,
        /// The topic's epoch.
        epoch: String,
        /// The topic's sequence number.
        seq: u64,
        /// As the topic says.
        #[schema(value_type = Object)]
        data: serde_json::Value,
    },
    /// The next change of a topic.
    Delta {
        /// Of which subscription.
        id: u32,
        /// The number before, plus one.
        seq: u64,
        /// As the topic says.
        #[schema(value_type = Object)]
        data: serde_json::Value,
    },
    /// Something was left out for lack of room or credit.
    Gap {
        /// Of which subscription.
        id: u32,
        /// How many lines.
        dropped: u64,
        /// Time of the last line before it, for paging by REST.
        from: Option<String>,
        /// Time of the first line after it.
        to: Option<String>,
    },
    /// The subscription is over: the container is gone, the log ended.
    End {
        /// Of which subscription.
        id: u32,
        /// Why, in a sentence.
        reason: String,
    },
    /// The subscription is not possible.
    Err {
        /// Of which subscription; absent when the message could not be read.
        id: Option<u32>,
        /// Why.
        problem: Problem,
    },
    /// Every 20 s; the page answers [`ClientMessage::Pong`].
    Ping,
    /// Answers [`ClientMessage::Ping`].
    Pong,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Hello {
    /// [`VERSION`].
    pub v: u32,
    /// The server's version: another one than the page's means: reload.
    pub server_version: String,
    /// Changes when the server starts anew.
    pub epoch: String,
    /// What one socket may do.
    pub limits: LiveLimits,
}

/// What one socket may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct LiveLimits {
    /// Subscriptions at a time.
    pub subscriptions: u32,
    /// Credit of a `logs` subscription at its start, in bytes.
    pub log_credit_bytes: u64,
    /// The server pings so often, in seconds.
    pub ping_interval_s: u32,
}

/// The whole state of a list.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct Items<T> {
    /// Its objects, in no order.
    pub items: Vec<T>,
}

/// What changed in a list.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct Changes<T> {
    /// New or changed objects, whole.
    pub upsert: Vec<T>,
    /// Ids of those that are gone: names for volumes and engines.
    pub remove: Vec<String>,
}

/// Snapshot of `engines`.
pub type EnginesSnapshot = Items<EngineInfo>;
/// Delta of `engines`.
pub type EnginesDelta = Changes<EngineInfo>;
/// Snapshot of `containers`.
pub type ContainersSnapshot = Items<ContainerSummary>;
/// Delta of `containers`.
pub type ContainersDelta = Changes<ContainerSummary>;
/// Snapshot of `images`.
pub type ImagesSnapshot = Items<ImageSummary>;
/// Delta of `images`.
pub type ImagesDelta = Changes<ImageSummary>;
/// Snapshot of `volumes`.
pub type VolumesSnapshot = Items<VolumeSummary>;
/// Delta of `volumes`.
pub type VolumesDelta = Changes<VolumeSummary>;
/// Snapshot of `networks`.
pub type NetworksSnapshot = Items<NetworkSummary>;
/// Delta of `networks`.
pub type NetworksDelta = Changes<NetworkSummary>;
/// Snapshot of `jobs`.
pub type JobsSnapshot = Items<Job>;
/// Delta of `jobs`.
pub type JobsDelta = Changes<Job>;

/// Snapshot of topic `alerts`.
pub type AlertsSnapshot = Items<Alert>;
/// Delta of topic `alerts`, by id.
pub type AlertsDelta = Changes<Alert>;

/// Snapshot of `events`: the newest, oldest first. Its delta has the same shape and is appended.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct EventsSnapshot {
    /// Oldest first.
    pub events: Vec<EngineEvent>,
}
/// Delta of `events`.
pub type EventsDelta = EventsSnapshot;

/// Snapshot and delta of `stats`: containers that are not named keep their last figures.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct StatsSnapshot {
    /// One entry a running container.
    pub stats: Vec<ContainerStats>,
}

/// Snapshot and delta of `host`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct HostSnapshot {
    /// The newest figures.
    pub figures: HostFigures,
}

/// Lines of a log; appended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct LogBatch {
    /// In order.
    pub lines: Vec<LogLine>,
    /// The container started a new run after these lines.
    pub restarted: bool,
    /// Where the reader stands after these lines: the `since` of a subscription that goes on here.
    pub cursor: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_one_flat_object() {
        let text = r#"{"op":"sub","id":7,"topic":"stats","args":{"engine":"mini","hz":1.0},"from":{"epoch":"k3","seq":812}}"#;
        let message: ClientMessage = serde_json::from_str(text).unwrap();
        let ClientMessage::Sub(subscribe) = message else {
            panic!("not a subscription")
        };
        assert_eq!(subscribe.id, 7);
        assert!(
            matches!(subscribe.topic, Topic::Stats(ref args) if args.engine.as_str() == "mini")
        );
        assert_eq!(subscribe.from.unwrap().seq, 812);
    }

    #[test]
    fn an_engine_that_is_no_name_is_refused() {
        let text = r#"{"op":"sub","id":7,"topic":"containers","args":{"engine":"../x"}}"#;
        assert!(serde_json::from_str::<ClientMessage>(text).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_read_without_panic(text in "\\PC{0,200}") {
            drop(serde_json::from_str::<ClientMessage>(&text));
        }
    }
}
