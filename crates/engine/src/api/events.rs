//! `/events`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
    routing::get,
};
use futures_util::{Stream, stream};
use tokio::time::Instant;

use super::{lines::json_line, query::Params};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
    events::{Event, EventKind, Listener},
    filters::Filters,
    time,
};

/// The filters of which each is a kind of object.
const KINDS: [&str; 9] = [
    "config",
    "container",
    "daemon",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
];
/// These actions have something behind a colon; a filter names them without it.
const WITH_DETAILS: [&str; 3] = ["exec_create", "exec_start", "health_status"];

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/events", get(events))
}

async fn events(State(engine): State<Arc<Engine>>, params: Params) -> Result<Response> {
    let request = EventsRequest::read(&params)?;
    // The place in the stream is taken before the answer begins: what happens from here on is seen.
    let listener = engine.events.listen(request.since_ns);
    let body = Body::from_stream(lines(listener, request));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

#[derive(Debug)]
struct EventsRequest {
    since_ns: Option<i64>,
    until_ns: Option<i64>,
    filters: Filters,
}

impl EventsRequest {
    fn read(params: &Params) -> Result<Self> {
        let time_of = |key: &str| {
            let time = params.text(key).map(time::parse).transpose()?;
            // Clients send 0 for none.
            Ok::<_, EngineError>(time.filter(|ns| *ns != 0))
        };
        let (since_ns, until_ns) = (time_of("since")?, time_of("until")?);
        if let (Some(since), Some(until)) = (since_ns, until_ns)
            && since > until
        {
            return Err(EngineError::Invalid(format!(
                "`since` time ({}) cannot be after `until` time ({})",
                params.text("since").unwrap_or_default(),
                params.text("until").unwrap_or_default(),
            )));
        }
        let accepted: Vec<&str> = KINDS
            .into_iter()
            .chain(["event", "image", "label", "scope", "type"])
            .collect();
        Ok(Self {
            // An end without a beginning asks for everything before the end.
            since_ns: since_ns.or(until_ns.map(|_| 0)),
            until_ns,
            filters: Filters::parse(params.text("filters"), &accepted)?,
        })
    }

    fn is_after(&self, event: &Event) -> bool {
        self.until_ns.is_some_and(|until| event.time_ns > until)
    }
}

/// The events that are asked for, as lines, until the time asked for has come.
fn lines(
    listener: Listener,
    request: EventsRequest,
) -> impl Stream<Item = Result<bytes::Bytes>> + Send {
    let deadline = request.until_ns.map(|until| {
        let left = u64::try_from(until.saturating_sub(time::now_ns())).unwrap_or(0);
        Instant::now().checked_add(Duration::from_nanos(left))
    });
    stream::try_unfold(
        (listener, request),
        move |(mut listener, request)| async move {
            let time_is_up = async {
                match deadline {
                    Some(Some(deadline)) => tokio::time::sleep_until(deadline).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::pin!(time_is_up);
            loop {
                let event = tokio::select! {
                    biased;
                    event = listener.next() => event,
                    () = &mut time_is_up => None,
                };
                match event {
                    Some(event) if request.is_after(&event) => return Ok(None),
                    Some(event) if matches(&event, &request.filters) => {
                        return Ok(Some((json_line(&*event)?, (listener, request))));
                    }
                    Some(_) => {}
                    None => return Ok(None),
                }
            }
        },
    )
}

/// Whether an event is asked for.
/// Source: moby `daemon/events/filter.go`.
fn matches(event: &Event, filters: &Filters) -> bool {
    let actor = &event.actor;
    let details_matter = filters
        .get("event")
        .iter()
        .any(|wanted| WITH_DETAILS.contains(&wanted.as_str()));
    let action_matches = if details_matter {
        filters.matches_prefix("event", &event.action)
    } else {
        filters.matches_exactly("event", &event.action)
    };
    let name = attribute(&actor.attributes, "name");
    let kind_matches =
        |kind: &&str| filters.matches_prefix(kind, &actor.id) || filters.matches_prefix(kind, name);
    action_matches
        && filters.matches_exactly("type", event.kind.as_str())
        && filters.matches_exactly("scope", &event.scope)
        && KINDS.iter().all(kind_matches)
        && image_matches(event, filters)
        && filters.matches_label_values(|key| actor.attributes.get(key).map(String::as_str))
}

fn image_matches(event: &Event, filters: &Filters) -> bool {
    let key = if event.kind == EventKind::Image {
        "name"
    } else {
        "image"
    };
    let id = event.actor.id.as_str();
    let name = attribute(&event.actor.attributes, key);
    [id, name, without_tag(id), without_tag(name)]
        .iter()
        .any(|name| filters.matches_exactly("image", name))
}

fn attribute<'a>(attributes: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    attributes.get(key).map(String::as_str).unwrap_or_default()
}

/// An image's name without tag and digest.
fn without_tag(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use serde_json::Value;

    use super::*;
    use crate::events::{Actor, EventBus};

    fn event(kind: EventKind, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Event {
            status: None,
            id: None,
            from: None,
            kind,
            action: action.to_owned(),
            actor: Actor {
                id: id.to_owned(),
                attributes,
            },
            scope: "local".to_owned(),
            time: 0,
            time_ns: 0,
        }
    }

    fn read(query: &str) -> Result<EventsRequest> {
        EventsRequest::read(&Params::parse(query))
    }

    fn chosen(event: &Event, filters: &str) -> bool {
        matches(event, &read(&format!("filters={filters}")).unwrap().filters)
    }

    #[test]
    fn containers_are_chosen_as_docker_does() {
        let attributes = [
            ("name", "web"),
            ("image", "registry:5000/nginx:1.2"),
            ("tier", "front"),
        ];
        let start = event(EventKind::Container, "start", "abc123", &attributes);
        for (filters, expected) in [
            ("{}", true),
            (r#"{"container":["web"]}"#, true),
            (r#"{"container":["abc"]}"#, true),
            (r#"{"container":["x","web"]}"#, true),
            (r#"{"container":["db"]}"#, false),
            (r#"{"type":["container"]}"#, true),
            (r#"{"type":["image"]}"#, false),
            (r#"{"event":["start","die"]}"#, true),
            (r#"{"event":["sta"]}"#, false),
            (r#"{"label":["tier"]}"#, true),
            (r#"{"label":["tier=front"]}"#, true),
            (r#"{"label":["tier=back"]}"#, false),
            (r#"{"label":["tier","other"]}"#, false),
            (r#"{"image":["registry:5000/nginx"]}"#, true),
            (r#"{"image":["registry:5000/nginx:1.2"]}"#, true),
            (r#"{"image":["nginx"]}"#, false),
            (r#"{"scope":["local"]}"#, true),
            (r#"{"scope":["swarm"]}"#, false),
            (r#"{"volume":["data"]}"#, false),
            (r#"{"daemon":["x"]}"#, false),
            (r#"{"container":["web"],"event":["die"]}"#, false),
        ] {
            assert_eq!(chosen(&start, filters), expected, "{filters}");
        }
    }

    #[test]
    fn actions_with_details_are_chosen_by_their_name() {
        let exec = event(EventKind::Container, "exec_create: sh -c ls", "a", &[]);
        let healthy = event(EventKind::Container, "health_status: healthy", "a", &[]);
        assert!(chosen(&exec, r#"{"event":["exec_create"]}"#));
        assert!(!chosen(&exec, r#"{"event":["exec_start"]}"#));
        assert!(chosen(&healthy, r#"{"event":["health_status"]}"#));
        assert!(chosen(&healthy, r#"{"event":["health_status: healthy"]}"#));
        assert!(!chosen(
            &healthy,
            r#"{"event":["health_status: unhealthy"]}"#
        ));
    }

    #[test]
    fn images_are_chosen_by_id_and_by_name_with_and_without_tag() {
        let pull = event(
            EventKind::Image,
            "pull",
            "alpine:3",
            &[("name", "alpine:3")],
        );
        assert!(chosen(&pull, r#"{"image":["alpine"]}"#));
        assert!(chosen(&pull, r#"{"image":["alpine:3"]}"#));
        assert!(!chosen(&pull, r#"{"image":["alpine:4"]}"#));
    }

    #[test]
    fn times_are_checked() {
        let error = read("since=2&until=1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`since` time (2) cannot be after `until` time (1)"
        );
        assert!(read("since=x").is_err());
        assert_eq!(read("since=0&until=0").unwrap().since_ns, None);
        assert_eq!(read("until=5").unwrap().since_ns, Some(0));
        let error = read(r#"filters={"colour":["x"]}"#).unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'colour'");
    }

    async fn collect(bus: &Arc<EventBus>, query: &str) -> Vec<String> {
        let request = read(query).unwrap();
        let lines = lines(bus.listen(request.since_ns), request);
        let all = tokio::time::timeout(Duration::from_secs(10), lines.collect::<Vec<_>>());
        let action = |line: Result<bytes::Bytes>| {
            let event: Value = serde_json::from_slice(&line.unwrap()).unwrap();
            event["Action"].as_str().unwrap().to_owned()
        };
        let all = all.await.expect("the stream ends");
        all.into_iter().map(action).collect()
    }

    #[tokio::test]
    async fn until_ends_the_stream_in_the_past_and_when_its_time_comes() {
        let dir = tempfile::tempdir().unwrap();
        let bus = EventBus::open(dir.path()).unwrap();
        let publish = |action: &str| {
            bus.publish(EventKind::Container, action, "a", BTreeMap::new());
            time::now_ns()
        };
        let seconds = |ns: i64| format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
        let before = seconds(time::now_ns());
        let first = seconds(publish("one"));
        publish("two");
        assert_eq!(collect(&bus, &format!("until={first}")).await, ["one"]);
        let query = format!("since={before}&until={first}");
        assert_eq!(collect(&bus, &query).await, ["one"]);
        assert_eq!(collect(&bus, &format!("until={before}")).await, [""; 0]);
        let soon = seconds(time::now_ns() + 300_000_000);
        let query = format!("since={before}&until={soon}");
        let later = async {
            tokio::task::yield_now().await;
            publish("three");
        };
        let (seen, ()) = tokio::join!(collect(&bus, &query), later);
        assert_eq!(seen, ["one", "two", "three"]);
    }
}
