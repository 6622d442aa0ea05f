//! The audit log over the API: what is in it, how it is found, and that a change of it is seen.

use api::auth::Role;
use serde_json::json;

use crate::{scripted::ScriptedEngine, site::Site};

#[tokio::test]
async fn acts_are_found_by_who_what_which_and_when() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let olaf = site.user("olaf", Role::Operator).await;
    let vera = site.user("vera", Role::Viewer).await;
    let body = json!({ "name": "ci", "role": "operator", "expires_in_s": 3600 });
    let made = olaf.post("/tokens", &body).await.json();
    let program = site.visitor().with_token(made["secret"].as_str().unwrap());
    program
        .post("/engines/docker/containers/web/stop", &json!({}))
        .await;
    vera.post("/engines/docker/containers/web/stop", &json!({}))
        .await
        .assert_problem(403, "forbidden");
    let find = async |query: &str| {
        let page = admin.get(&format!("/audit?{query}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.json()["items"].as_array().unwrap().clone()
    };
    let stops = find("operation=containerstop").await;
    assert_eq!(stops.len(), 3, "{stops:?}");
    assert_eq!(stops[0]["decision"], "refused");
    assert_eq!(stops[0]["user"], "vera");
    assert_eq!(stops[1]["decision"], "failed");
    assert_eq!(stops[1]["status"], 404);
    assert_eq!(stops[2]["decision"], "allowed");
    assert_eq!(stops[2]["user"], "olaf");
    assert_eq!(stops[2]["token"], "ci");
    assert_eq!(stops[2]["ip"], "127.0.0.1");
    assert_eq!(stops[2]["request_id"], stops[1]["request_id"]);
    assert_eq!(find("target=/containers/web/&user=OLAF").await.len(), 2);
    assert_eq!(find("decision=refused").await.len(), 1);
    assert_eq!(find("until=2026-01-01T00:00:00Z").await.len(), 0);
    let page = admin.get("/audit?limit=2").await.json();
    let next = page["next_before"].as_u64().unwrap();
    assert_eq!(page["items"][1]["seq"].as_u64().unwrap(), next);
    let rest = find(&format!("before={next}&limit=1")).await;
    assert_eq!(rest[0]["seq"].as_u64().unwrap(), next - 1);
    for bad in ["limit=0", "limit=1001", "since=yesterday", "nonsense=1"] {
        admin
            .get(&format!("/audit?{bad}"))
            .await
            .assert_problem(422, "invalid");
    }
}

#[tokio::test]
async fn a_line_that_was_changed_is_seen() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let whole = admin.get("/audit/verify").await.json();
    assert_eq!(whole["whole"], true, "{whole}");
    assert!(whole["lines"].as_u64().unwrap() >= 2);
    let path = site.dir.path().join("server/audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"Setup\"", "\"Login\"", 1)).unwrap();
    let broken = admin.get("/audit/verify").await.json();
    assert_eq!(broken["whole"], false);
    assert_eq!(broken["broken_at"], "audit.jsonl line 1");
}
