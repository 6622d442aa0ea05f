//! A subscription, seen from the socket: something that can be asked "what is new for you".

use std::{sync::Arc, time::Instant};

use api::live::ServerMessage;

/// A reader of one source. It holds its own position and nothing else: what it has not sent stays in the source.
pub(crate) trait Feed: Send {
    /// The next frame, if there is something new. Called until it has nothing more or the socket is full.
    fn poll(&mut self, now: Instant) -> Option<Frame>;

    /// The reader has stored `bytes` more bytes (topic `logs`).
    fn credit(&mut self, _bytes: u64) {}
}

/// A frame of a subscription, with `data` already written as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The whole state.
    Snap {
        epoch: Arc<str>,
        seq: u64,
        data: String,
    },
    /// What changed after `seq - 1`.
    Delta { seq: u64, data: String },
    /// So many lines were left out between these times.
    Gap {
        dropped: u64,
        from: Option<String>,
        to: Option<String>,
    },
    /// Nothing more will come.
    End(String),
}

impl Frame {
    /// The frame's text on the wire for subscription `id`.
    pub(crate) fn into_text(self, id: u32) -> String {
        match self {
            Self::Snap { epoch, seq, data } => {
                format!(r#"{{"t":"snap","id":{id},"epoch":"{epoch}","seq":{seq},"data":{data}}}"#)
            }
            Self::Delta { seq, data } => {
                format!(r#"{{"t":"delta","id":{id},"seq":{seq},"data":{data}}}"#)
            }
            Self::Gap { dropped, from, to } => message(&ServerMessage::Gap {
                id,
                dropped,
                from,
                to,
            }),
            Self::End(reason) => message(&ServerMessage::End { id, reason }),
        }
    }
}

/// A message's text on the wire.
pub(crate) fn message(message: &ServerMessage) -> String {
    // Serialising a type without maps of foreign keys cannot err.
    serde_json::to_string(message).unwrap_or_default()
}
