//! The live topics for scripts: Server-Sent Events that `curl -N` can read, resumed by `Last-Event-ID` without loss or doubles.

use std::time::Duration;

use api::{
    live::{EngineArgs, LogsArgs, NoArgs, Position, RateArgs, StatsArgs, Topic},
    stream::{StreamQuery, StreamTopic},
};
use axum::{
    body::Body as HttpBody,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};

use super::live::Visitor;
use crate::{
    http::{ApiError, Caller, QueryParams},
    live::{Backend as _, Feed, Frame, Pulse},
    state::AppState,
};

/// Events that wait for the client; it makes its own source wait, not the others.
const QUEUE: usize = 16;
/// A client that takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(30);
/// A comment now and then keeps connections through proxies open and finds out who is gone.
const BEAT: Duration = Duration::from_secs(15);
/// How often the sign-in is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// Streams of one session at a time.
const PER_SESSION: usize = 20;

/// `GET /stream`
pub(crate) async fn open(
    State(state): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<StreamQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let topic = topic_of(&query)?;
    let from = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit_once(':'))
        .and_then(|(epoch, seq)| {
            Some(Position {
                epoch: epoch.to_owned(),
                seq: seq.parse().ok()?,
            })
        });
    let Some(place) = state.hub.sockets.enter(caller.key(), PER_SESSION) else {
        return Err(ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            api::problem::ProblemCode::RateLimited,
            format!("one session has at most {PER_SESSION} live sockets and streams"),
        )
        .hint("close some"));
    };
    let visitor = Visitor {
        state: state.clone(),
        caller,
    };
    let feed = visitor
        .subscribe(topic, from)
        .await
        .map_err(ApiError::of_problem)?;
    let (pipe, events) = mpsc::channel::<Result<Bytes, std::convert::Infallible>>(QUEUE);
    let pulse = state.hub.pulse.clone();
    let stop = state.stop.clone();
    state.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tell(feed, &visitor, &pulse, &pipe) => {}
        }
        drop(place);
    });
    let mut response =
        HttpBody::from_stream(tokio_stream::wrappers::ReceiverStream::new(events)).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    Ok(response)
}

/// Sends what is new until the client or the sign-in is gone.
async fn tell(
    mut feed: Box<dyn Feed>,
    visitor: &Visitor,
    pulse: &Pulse,
    pipe: &mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
) {
    let mut beats = pulse.listen();
    let mut epoch = String::new();
    let (mut beat, mut look) = (Instant::now() + BEAT, Instant::now() + LOOK);
    loop {
        while let Some(frame) = feed.poll(std::time::Instant::now()) {
            let last = matches!(frame, Frame::End(_));
            let text = event(frame, &mut epoch);
            let bytes = text.len() as u64;
            if !matches!(
                pipe.send_timeout(Ok(Bytes::from(text)), STUCK).await,
                Ok(())
            ) || last
            {
                return;
            }
            feed.credit(bytes);
        }
        tokio::select! {
            changed = beats.changed() => if changed.is_err() { return },
            () = pipe.closed() => return,
            () = tokio::time::sleep_until(beat) => {
                beat = Instant::now() + BEAT;
                let comment = Bytes::from_static(b": still here\n\n");
                if !matches!(pipe.send_timeout(Ok(comment), STUCK).await, Ok(())) {
                    return;
                }
            }
            () = tokio::time::sleep_until(look) => {
                look = Instant::now() + LOOK;
                if !visitor.session_is_alive().await {
                    return;
                }
            }
        }
    }
}

/// A frame as an event.
fn event(frame: Frame, epoch: &mut String) -> String {
    match frame {
        Frame::Snap {
            epoch: now,
            seq,
            data,
        } => {
            *epoch = now.to_string();
            format!("event: snap\nid: {epoch}:{seq}\ndata: {data}\n\n")
        }
        Frame::Delta { seq, data } => format!("event: delta\nid: {epoch}:{seq}\ndata: {data}\n\n"),
        Frame::Gap { dropped, from, to } => {
            let data = serde_json::json!({ "dropped": dropped, "from": from, "to": to });
            format!("event: gap\ndata: {data}\n\n")
        }
        Frame::End(reason) => {
            let data = serde_json::json!({ "reason": reason });
            format!("event: end\ndata: {data}\n\n")
        }
    }
}

fn topic_of(query: &StreamQuery) -> Result<Topic, ApiError> {
    let engine = || {
        query
            .engine
            .clone()
            .ok_or_else(|| ApiError::invalid_field("engine", "is needed for this topic"))
    };
    let of_engine = || engine().map(|engine| EngineArgs { engine });
    Ok(match query.topic {
        StreamTopic::Engines => Topic::Engines(NoArgs {}),
        StreamTopic::Jobs => Topic::Jobs(NoArgs {}),
        StreamTopic::Containers => Topic::Containers(of_engine()?),
        StreamTopic::Images => Topic::Images(of_engine()?),
        StreamTopic::Volumes => Topic::Volumes(of_engine()?),
        StreamTopic::Networks => Topic::Networks(of_engine()?),
        StreamTopic::Events => Topic::Events(of_engine()?),
        StreamTopic::Host => Topic::Host(RateArgs { hz: query.hz }),
        StreamTopic::Stats => Topic::Stats(StatsArgs {
            engine: engine()?,
            container: query.container.clone(),
            hz: query.hz,
        }),
        StreamTopic::Logs => Topic::Logs(LogsArgs {
            engine: engine()?,
            container: query
                .container
                .clone()
                .ok_or_else(|| ApiError::invalid_field("container", "is needed for this topic"))?,
            tail: query.tail,
            since: query.since.clone(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_events_with_an_id_to_go_on_from() {
        let mut epoch = String::new();
        let snap = Frame::Snap {
            epoch: "e1".into(),
            seq: 4,
            data: "{\"a\":1}".to_owned(),
        };
        assert_eq!(
            event(snap, &mut epoch),
            "event: snap\nid: e1:4\ndata: {\"a\":1}\n\n"
        );
        let delta = Frame::Delta {
            seq: 5,
            data: "{}".to_owned(),
        };
        assert_eq!(
            event(delta, &mut epoch),
            "event: delta\nid: e1:5\ndata: {}\n\n"
        );
        let end = event(Frame::End("gone".to_owned()), &mut epoch);
        assert!(end.starts_with("event: end\ndata: "), "{end}");
    }
}
