//! The live protocol of `/api/v1/live`: one WebSocket per browser tab, JSON text frames, many subscriptions.
//!
//! The client sends [`ClientMessage`], the server [`ServerMessage`]. A subscription has an id chosen by the client.
//! Its first answer is a `snap` (the whole state) or, when `from` is still known to the server, the missed `delta`s.
//! The snapshot *is* the read: there is no hole between a GET and the subscription.
//!
//! Positions are `{epoch, seq}`. A `delta` carries `seq` and, when it joins several steps into one, `prev`: it applies only if
//! `(prev ?? seq - 1) == last seq`. Otherwise the client drops its state and subscribes again without `from`. A server whose
//! reader is slow joins steps instead of queueing them, so memory per reader is bounded and every state it shows is a true one.
//!
//! What `data` holds, by topic:
//!
//! | topic | `snap.data` | `delta.data` |
//! | --- | --- | --- |
//! | `containers` `images` `volumes` `networks` `engines` `jobs` | [`StateSnap`] | [`StateDelta`] |
//! | `stats` without `cid` | [`crate::figures::StatsOverview`] | [`crate::figures::StatsOverviewDelta`] |
//! | `stats` with `cid` | [`crate::figures::StatsSeries`] | [`crate::figures::StatsSeriesDelta`] |
//! | `host` | [`crate::figures::HostSeries`] | [`crate::figures::HostSeriesDelta`] |
//! | `logs` | [`crate::logs::LogsSnap`] | [`crate::logs::LogsDelta`] |
//! | `events` | [`EventsSnap`] | [`EventsDelta`] |

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The protocol's version: sent in `hello.v`; a client refuses one it does not know.
pub const PROTOCOL_VERSION: u32 = 1;

/// Close codes of the socket beyond the standard ones.
pub mod close_code {
    /// The session ended or was revoked: sign in again.
    pub const SIGNED_OUT: u16 = 4401;
    /// The session may not use the live socket: do not reconnect.
    pub const FORBIDDEN: u16 = 4403;
    /// The reader is too slow: reconnect and resume by position.
    pub const SLOW: u16 = 4008;
    /// The server is going down: reconnect after a second.
    pub const GOING_DOWN: u16 = 4009;
}

/// What a subscription is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Containers of one engine or all: state list.
    Containers,
    /// Images: state list.
    Images,
    /// Volumes: state list.
    Volumes,
    /// Networks: state list.
    Networks,
    /// The engines and how they are: state list.
    Engines,
    /// Long work: state list.
    Jobs,
    /// Engine events: append.
    Events,
    /// Figures of one container (with `cid`) or of all (without): latest wins.
    Stats,
    /// Figures of the host: latest wins.
    Host,
    /// The log of one container: append, by credit.
    Logs,
}

/// A place in a topic's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Position {
    /// Which run of the server (or of the log reader) counted; another epoch's numbers mean nothing.
    pub epoch: String,
    /// The last step the holder has seen.
    pub seq: u64,
}

/// Arguments of a subscription; each topic reads its own and ignores the rest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TopicArgs {
    /// Only this engine. Required by `logs` and by `stats` with `cid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Container id. Required by `logs`; with `stats`, that container's own series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// `stats`, `host`: at most this many deltas a second (0.1 to 2; default 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hz: Option<f64>,
    /// `logs`: this many lines before now in the first snapshot (default 500, at most 2,000).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<u32>,
    /// `logs`: continue after this cursor (from [`crate::logs::LogsSnap`] or [`crate::logs::LogsDelta`]): no line lost, none twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What the client sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Start a subscription, or replace the one of the same id.
    Sub {
        /// Chosen by the client, unique within the socket.
        id: u32,
        /// What about.
        topic: Topic,
        /// Which part of it.
        #[serde(default)]
        args: TopicArgs,
        /// Where the client's state stands; without it a snapshot is sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Position>,
    },
    /// End a subscription.
    Unsub {
        /// The subscription.
        id: u32,
    },
    /// `logs`: the client has stored this many more bytes of the lines' text and can take as many again.
    Credit {
        /// The subscription.
        id: u32,
        /// Bytes of line text.
        n: u64,
    },
    /// Ask for a `pong`.
    Ping {},
}

/// What the server sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ServerMessage {
    /// First frame of every socket.
    Hello {
        /// Protocol version, [`PROTOCOL_VERSION`].
        v: u32,
        /// Version of the server program; differs from the page's own after an upgrade.
        version: String,
        /// This run of the server.
        epoch: String,
        /// What the server allows on this socket.
        limits: Limits,
    },
    /// The whole state of a subscription; replaces what the client has.
    Snap {
        /// The subscription.
        id: u32,
        /// Epoch of `seq`.
        epoch: String,
        /// The state's position.
        seq: u64,
        /// By topic: see the module's table.
        data: serde_json::Value,
    },
    /// What changed since the previous position.
    Delta {
        /// The subscription.
        id: u32,
        /// The position after this delta.
        seq: u64,
        /// The position it builds on, when that is not `seq - 1`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prev: Option<u64>,
        /// By topic: see the module's table.
        data: serde_json::Value,
    },
    /// `logs`: entries `from..=to` were not sent because the reader was slow; they can be paged by REST. The next delta builds on `to`.
    Gap {
        /// The subscription.
        id: u32,
        /// First position not sent.
        from: u64,
        /// Last position not sent.
        to: u64,
        /// How many entries that is.
        dropped: u64,
    },
    /// The subscription ended; it must not be resumed.
    End {
        /// The subscription.
        id: u32,
        /// Why.
        reason: EndReason,
    },
    /// The subscription, or (without `id`) the frame, was refused.
    Err {
        /// The subscription.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        /// Same codes as the problems of the REST API.
        code: String,
        /// One sentence.
        detail: String,
        /// What to do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Sent every 20 s, so that proxies keep the socket and the client notices a dead one.
    Ping {},
    /// Answer to the client's `ping`.
    Pong {},
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The container (or engine) is gone.
    Removed,
    /// The engine does not keep this container's log (its log driver cannot be read).
    Unreadable,
    /// The session lost the right to it.
    Forbidden,
}

/// Limits of one socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Most subscriptions at a time.
    pub max_subscriptions: u32,
    /// Credit each `logs` subscription starts with, in bytes of line text.
    pub log_credit_bytes: u64,
    /// Largest frame the server takes.
    pub max_frame_bytes: u64,
    /// The server's ping period.
    pub ping_seconds: u32,
}

/// Names one object of an engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct ObjectKey {
    /// Engine name.
    pub engine: String,
    /// Container, image or network id, volume name, job id; the engine's own name in topic `engines`.
    pub id: String,
}

/// Snapshot of a state list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StateSnap {
    /// All items: `ContainerSummary`, `ImageSummary`, `VolumeSummary`, `NetworkSummary`, `EngineSummary` or `Job`, by topic.
    pub items: Vec<StateItem>,
}

/// What changed in a state list; each item at most once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StateDelta {
    /// New and changed items, whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upsert: Vec<StateItem>,
    /// Items that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<ObjectKey>,
}

/// One item of a state list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StateItem {
    /// Its name in the list.
    pub key: ObjectKey,
    /// The item.
    pub item: serde_json::Value,
}

/// One event of an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EngineEvent {
    /// Engine name.
    pub engine: String,
    /// When the engine says it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: jiff::Timestamp,
    /// `container`, `image`, `volume`, `network`, `engine`.
    pub kind: String,
    /// As the engine names it: `start`, `die`, `oom`, `pull`.
    pub action: String,
    /// Id of the object.
    pub id: String,
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Further attributes (image, exit code), labels left out.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// The latest events, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventsSnap {
    /// At most 500.
    pub items: Vec<EngineEvent>,
}

/// New events, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventsDelta {
    /// The events.
    pub items: Vec<EngineEvent>,
}
