//! Engines that are down, slow or garbled: shown as such within two seconds, and back by themselves.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::{
    scripted::{Mode, ScriptedEngine},
    site::{Site, Visitor},
};

/// What the issue asks for.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// It is looked for every second.
const BACK_WITHIN: Duration = Duration::from_secs(4);

async fn reason(visitor: &Visitor) -> String {
    let engine = visitor.get("/engines/docker").await.json();
    assert!(
        engine["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
        "{engine}"
    );
    engine["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_told_at_once_and_found_when_it_comes() {
    let address = ScriptedEngine::start().await.stop().await;
    let site = Site::open(&format!("tcp://{address}")).await;
    let admin = site.set_up().await;
    admin.engine_becomes("unreachable", SHOWN_WITHIN).await;
    assert!(reason(&admin).await.contains("nothing listens there"));
    let answer = admin
        .post("/engines/docker/containers", &json!({ "image": "x" }))
        .await;
    answer.assert_problem(502, "engine_unreachable");
    let engine = ScriptedEngine::start_at(address).await;
    admin.engine_becomes("connected", BACK_WITHIN).await;
    let address = engine.stop().await;
    admin.engine_becomes("unreachable", SHOWN_WITHIN).await;
    let _engine = ScriptedEngine::start_at(address).await;
    admin.engine_becomes("connected", BACK_WITHIN).await;
}

#[tokio::test]
async fn an_engine_that_goes_silent_is_told_reads_end_and_it_comes_back() {
    let engine = ScriptedEngine::start().await;
    let (_site, admin) = Site::with(&engine).await;
    engine.behave(Mode::Silent);
    let begun = Instant::now();
    // A read that was under way is given up with the engine, not ten seconds later.
    let read = admin.get("/engines/docker/volumes/nope").await;
    assert!(begun.elapsed() < SHOWN_WITHIN, "{:?}", begun.elapsed());
    read.assert_problem(502, "engine_unreachable");
    admin
        .engine_becomes("unreachable", SHOWN_WITHIN.saturating_sub(begun.elapsed()))
        .await;
    assert!(reason(&admin).await.contains("does not answer"));
    engine.behave(Mode::Answers);
    admin.engine_becomes("connected", BACK_WITHIN).await;
}

#[tokio::test]
async fn an_engine_that_never_answers_is_told_before_it_ever_did() {
    let engine = ScriptedEngine::start().await;
    engine.behave(Mode::Silent);
    let site = Site::open(&engine.url()).await;
    let admin = site.set_up().await;
    admin.engine_becomes("unreachable", SHOWN_WITHIN).await;
    engine.behave(Mode::Answers);
    admin.engine_becomes("connected", BACK_WITHIN).await;
}

#[tokio::test]
async fn an_engine_that_talks_rubbish_is_told_as_such() {
    let engine = ScriptedEngine::start().await;
    for mode in [Mode::Rubbish, Mode::AnotherServer] {
        engine.behave(mode);
        let site = Site::open(&engine.url()).await;
        let admin = site.set_up().await;
        admin.engine_becomes("unreachable", SHOWN_WITHIN).await;
        let reason = reason(&admin).await;
        assert!(
            reason.contains("not the Docker Engine API"),
            "{mode:?}: {reason}"
        );
        engine.behave(Mode::Answers);
        admin.engine_becomes("connected", BACK_WITHIN).await;
        // And in the middle of its life.
        engine.behave(mode);
        admin.engine_becomes("unreachable", SHOWN_WITHIN).await;
        engine.behave(Mode::Answers);
        admin.engine_becomes("connected", BACK_WITHIN).await;
    }
}

#[tokio::test]
async fn the_live_list_of_engines_tells_within_two_seconds() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let mut request = format!("{}/api/v1/live", site.base.replace("http:", "ws:"))
        .into_client_request()
        .unwrap();
    let headers = request.headers_mut();
    headers.insert("cookie", admin.cookie.parse().unwrap());
    headers.insert("origin", site.base.parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let subscribe = json!({ "op": "sub", "id": 1, "topic": "engines", "args": {} });
    socket
        .send(Message::text(subscribe.to_string()))
        .await
        .unwrap();
    let mut becomes = async |state: &str, limit: Duration| {
        let told = async {
            while let Some(Ok(message)) = socket.next().await {
                let Ok(text) = message.to_text() else {
                    continue;
                };
                let frame: Value = serde_json::from_str(text).unwrap_or_default();
                let rows = frame["data"]["items"]
                    .as_array()
                    .or(frame["data"]["upsert"].as_array());
                if rows.is_some_and(|rows| {
                    rows.iter()
                        .any(|row| row["name"] == "docker" && row["state"] == state)
                }) {
                    return;
                }
            }
            unreachable!("the socket was closed");
        };
        tokio::time::timeout(limit, told).await.expect(state);
    };
    becomes("connected", Duration::from_secs(1)).await;
    engine.behave(Mode::Silent);
    becomes("unreachable", SHOWN_WITHIN).await;
    engine.behave(Mode::Answers);
    becomes("connected", BACK_WITHIN).await;
}
