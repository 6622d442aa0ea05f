//! One client of a terminal: frames in, frames out, within bounds.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    frame::{self, FromClient},
    registry::{Shell, ToProgram},
    ring::KEPT,
};
use crate::auth::Caller;

/// Largest frame taken from a client.
pub(crate) const MAX_FRAME: usize = 64 * 1024;
/// Output in one frame.
const PIECE: usize = 32 * 1024;
/// A single write may take so long.
const STUCK: Duration = Duration::from_secs(10);
/// The server's pings keep connections through proxies open.
const PING: Duration = Duration::from_secs(20);
/// A client that sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(65);

type Close = (u16, &'static str);
const ENDED: Close = (1000, "ended");
const GONE: Close = (1001, "gone");
const BAD_FRAME: Close = (1003, "that is no frame of a terminal");
const SLOW: Close = (4008, "slow");
const GOING_DOWN: Close = (4009, "the server is going down");
const TAKEN_OVER: Close = (4010, "connected from elsewhere");
const SIGNED_OUT: Close = (4401, "signed out");

/// Serves a client from offset `from` on until either side ends it; the terminal goes on without it.
pub(crate) async fn serve(
    socket: WebSocket,
    shell: Arc<Shell>,
    caller: Caller,
    from: Option<u64>,
    stop: CancellationToken,
) {
    let me = {
        let mut state = shell.lock();
        state.connection += 1;
        state.connected = true;
        state.caller = caller;
        state.read = from
            .unwrap_or(0)
            .clamp(state.ring.begin(), state.ring.end());
        state.connection
    };
    shell.stirred.notify_waiters();
    let (mut sink, stream) = socket.split();
    let (code, reason) = tokio::select! {
        close = listen(&shell, stream) => close,
        close = tell(&shell, &mut sink, me) => close,
        () = stop.cancelled() => GOING_DOWN,
    };
    {
        let mut state = shell.lock();
        if state.connection == me {
            state.connected = false;
            state.left_at = std::time::Instant::now();
        }
    }
    shell.stirred.notify_waiters();
    let frame = Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }));
    // A client that does not read gets the bare end of the connection.
    drop(tokio::time::timeout(STUCK, sink.send(frame)).await);
}

/// Takes the client's frames.
async fn listen(shell: &Shell, mut stream: SplitStream<WebSocket>) -> Close {
    loop {
        let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE, stream.next()).await else {
            return GONE;
        };
        let piece = match message {
            Message::Binary(bytes) => match frame::decode(&bytes) {
                Some(FromClient::Input(bytes)) => ToProgram::Input(bytes),
                Some(FromClient::Size { columns, rows }) => ToProgram::Size { columns, rows },
                Some(FromClient::Read(offset)) => {
                    let mut state = shell.lock();
                    state.read = offset.clamp(state.read, state.ring.end());
                    drop(state);
                    shell.stirred.notify_waiters();
                    continue;
                }
                None => return BAD_FRAME,
            },
            Message::Text(_) => return BAD_FRAME,
            Message::Close(_) => return GONE,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        // A full queue: the program does not read. The client waits as a keyboard would.
        if shell.to_program.send(piece).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Sends what the program writes.
async fn tell(shell: &Shell, sink: &mut SplitSink<WebSocket, Message>, me: u64) -> Close {
    let mut sent = None;
    let mut ping = Instant::now() + PING;
    loop {
        let next = {
            let stirred = shell.stirred.notified();
            let mut stirred = std::pin::pin!(stirred);
            stirred.as_mut().enable();
            let next = next_frames(shell, me, &mut sent);
            if next.is_none() {
                tokio::select! {
                    () = stirred => continue,
                    () = tokio::time::sleep_until(ping) => {
                        ping = Instant::now() + PING;
                        Some(Next::Frames(vec![Message::Ping(axum::body::Bytes::new())]))
                    }
                }
            } else {
                next
            }
        };
        let (frames, close) = match next {
            Some(Next::Frames(frames)) => (frames, None),
            Some(Next::Last(frames, close)) => (frames, Some(close)),
            None => continue,
        };
        for frame in frames {
            match tokio::time::timeout(STUCK, sink.send(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return GONE,
                Err(_elapsed) => return SLOW,
            }
        }
        if let Some(close) = close {
            return close;
        }
    }
}

enum Next {
    Frames(Vec<Message>),
    Last(Vec<Message>, Close),
}

/// What is to be sent now, if anything.
fn next_frames(shell: &Shell, me: u64, sent: &mut Option<u64>) -> Option<Next> {
    let state = shell.lock();
    if state.connection != me {
        return Some(Next::Last(Vec::new(), TAKEN_OVER));
    }
    let mut frames = Vec::new();
    let wanted = sent.unwrap_or(state.read);
    let window = usize::try_from((state.read + KEPT as u64).saturating_sub(wanted)).unwrap_or(0);
    let (at, bytes) = state.ring.read(wanted, PIECE.min(window));
    if *sent != Some(at) {
        frames.push(Message::Binary(frame::begins(at).into()));
    }
    if !bytes.is_empty() {
        frames.push(Message::Binary(frame::data(&bytes).into()));
    }
    let after = at + bytes.len() as u64;
    *sent = Some(after);
    if let Some(ending) = state.ended
        && after == state.ring.end()
    {
        frames.push(Message::Binary(frame::end(ending.exit_code).into()));
        let close = if state.signed_out { SIGNED_OUT } else { ENDED };
        return Some(Next::Last(frames, close));
    }
    (!frames.is_empty()).then_some(Next::Frames(frames))
}
