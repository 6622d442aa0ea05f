//! API tokens: what they open, what they never open, and what is kept of them.

use api::auth::Role;
use http::Method;
use serde_json::{Value, json};

use crate::{
    scripted::ScriptedEngine,
    site::{Site, Visitor, send},
};

async fn make(owner: &Visitor, body: Value) -> (String, String) {
    let made = owner.post("/tokens", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let text = |at: &str| made.pointer(at).unwrap().as_str().unwrap().to_owned();
    (text("/token/id"), text("/secret"))
}

fn wanted(role: &str) -> Value {
    json!({ "name": "ci", "role": role, "expires_in_s": 3600 })
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_as_a_hash_with_its_last_use() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let (id, secret) = make(&admin, wanted("admin")).await;
    assert!(secret.starts_with("cos_") && secret.len() == 76, "{secret}");
    let listed = admin.get("/tokens").await;
    assert!(!listed.text.contains(&secret));
    let token = &listed.json()["items"][0];
    assert_eq!(token["id"], id.as_str());
    assert_eq!(token["user"], "ana");
    assert_eq!(token["last_used_at"], Value::Null);
    let program = site.visitor().with_token(&secret);
    assert_eq!(program.get("/engines").await.status, 200);
    let token = &admin.get("/tokens").await.json()["items"][0];
    assert_eq!(token["last_used_ip"], "127.0.0.1");
    assert!(token["last_used_at"].is_string());
    for file in ["server.db", "server.db-wal", "audit.jsonl"] {
        let bytes = std::fs::read(site.dir.path().join("server").join(file)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(&secret), "{file}");
    }
    // Nowhere but in its header.
    let visitor = site.visitor();
    for path in [
        format!("/engines?token={secret}"),
        format!("/engines?access_token={secret}"),
    ] {
        visitor
            .get(&path)
            .await
            .assert_problem(401, "unauthenticated");
    }
    let cookie = Visitor {
        cookie: format!("{}={secret}", admin.cookie.split('=').next().unwrap()),
        ..visitor.clone()
    };
    cookie
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    // A wrong header is not made good by a cookie.
    for header in [
        "Basic YTpi",
        "Bearer",
        "Bearer ",
        "bearer cos_x",
        "nonsense",
    ] {
        let request = admin
            .request(Method::GET, "/engines")
            .header("authorization", header);
        send(request).await.assert_problem(401, "unauthenticated");
    }
    let lower = visitor
        .request(Method::GET, "/engines")
        .header("authorization", format!("bearer {secret}"));
    assert_eq!(send(lower).await.status, 200);
}

#[tokio::test]
async fn a_token_never_does_more_than_its_user_may_now() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let olaf = site.user("olaf", Role::Operator).await;
    let answer = olaf.post("/tokens", &wanted("admin")).await;
    answer.assert_problem(422, "invalid");
    assert_eq!(answer.fields(), ["role"]);
    let (_, secret) = make(&olaf, wanted("operator")).await;
    let program = site.visitor().with_token(&secret);
    let make_volume = json!({ "name": "v" });
    let path = "/engines/docker/volumes";
    let may = async |program: &Visitor| program.post(path, &make_volume).await.status != 403;
    assert!(may(&program).await);
    admin
        .patch("/users/olaf", &json!({ "role": "viewer" }))
        .await;
    assert!(!may(&program).await, "its user is a viewer now");
    assert_eq!(program.get("/engines").await.status, 200);
    admin
        .patch("/users/olaf", &json!({ "role": "operator" }))
        .await;
    assert!(may(&program).await);
    // A password that is reset by an administrator keeps the user out until another is chosen; so the token.
    admin
        .post("/users/olaf/one-time-password", &json!({}))
        .await;
    program
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    admin.post("/users/olaf/remove", &json!({})).await;
    program
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    assert_eq!(
        admin.get("/tokens?all=true").await.json()["items"],
        json!([])
    );
}

#[tokio::test]
async fn a_token_for_one_engine_reaches_nothing_else() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let mut body = wanted("admin");
    body["engines"] = json!(["docker"]);
    let (_, secret) = make(&admin, body.clone()).await;
    let program = site.visitor().with_token(&secret);
    assert_eq!(program.get("/engines/docker/volumes").await.status, 200);
    engine.asked();
    for path in [
        "/engines/mini/volumes",
        "/engines/%64ocker/volumes",
        "/engines/docker%2fx/volumes",
        "/engines",
        "/host",
        "/jobs",
        "/compare",
        "/users",
        "/audit",
    ] {
        let answer = program.get(path).await;
        assert!([400, 403, 404].contains(&answer.status), "{path}");
        assert!(answer.status != 404 || path.contains("%2f"), "{path}");
    }
    assert!(engine.asked().is_empty());
    body["engines"] = json!(["nope"]);
    admin
        .post("/tokens", &body)
        .await
        .assert_problem(404, "not_found");
    body["engines"] = json!([]);
    admin
        .post("/tokens", &body)
        .await
        .assert_problem(422, "invalid");
}

#[tokio::test]
async fn what_is_wrong_with_a_token_that_is_asked_for_is_told() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let body = json!({ "name": " x\n", "role": "admin", "expires_in_s": 59 });
    let answer = admin.post("/tokens", &body).await;
    answer.assert_problem(422, "invalid");
    assert_eq!(answer.fields(), ["name", "expires_in_s"]);
    let long = json!({ "name": "x", "role": "admin", "expires_in_s": 367 * 86_400 });
    assert_eq!(
        admin.post("/tokens", &long).await.fields(),
        ["expires_in_s"]
    );
    let none = json!({ "name": "x", "role": "admin" });
    assert!(
        admin
            .post("/tokens", &none)
            .await
            .text
            .contains("expires_in_s")
    );
    // In person only, and with the password given lately.
    let (_, secret) = make(&admin, wanted("admin")).await;
    let program = site.visitor().with_token(&secret);
    program
        .post("/tokens", &wanted("viewer"))
        .await
        .assert_problem(403, "forbidden");
    // Whose tokens.
    let vera = site.user("vera", Role::Viewer).await;
    let (id, _) = make(&vera, wanted("viewer")).await;
    vera.get("/tokens?all=true")
        .await
        .assert_problem(403, "forbidden");
    let olaf = site.user("olaf", Role::Operator).await;
    assert_eq!(olaf.get("/tokens").await.json()["items"], json!([]));
    let revoke = format!("/tokens/{id}/revoke");
    olaf.post(&revoke, &json!({}))
        .await
        .assert_problem(404, "not_found");
    assert_eq!(admin.post(&revoke, &json!({})).await.status, 200);
    // So many and no more.
    let made = site.state.db.run("fill", |c| {
        for number in 0..100_u8 {
            c.execute(
                "INSERT INTO tokens (id, secret_hash, name, user, role, read_only, created_at_ms, expires_at_ms)
                 VALUES (?1, ?2, 'x', 'olaf', 'viewer', 0, 1, 9000000000000)",
                (format!("{number:016x}"), [number; 32]),
            )?;
        }
        Ok(())
    });
    made.await.unwrap();
    olaf.post("/tokens", &wanted("viewer"))
        .await
        .assert_problem(409, "conflict");
}

#[tokio::test]
async fn the_live_socket_takes_a_token_and_keeps_to_its_engines() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let mut body = wanted("viewer");
    body["engines"] = json!(["docker"]);
    let (_, secret) = make(&admin, body).await;
    let mut request = format!("{}/api/v1/live", site.base.replace("http:", "ws:"))
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {secret}").parse().unwrap();
    request.headers_mut().insert("authorization", bearer);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let wait = std::time::Duration::from_secs(5);
    for (id, topic, args, allowed) in [
        (1, "containers", json!({ "engine": "docker" }), true),
        (2, "containers", json!({ "engine": "mini" }), false),
        (3, "jobs", json!({}), false),
        (4, "host", json!({}), false),
    ] {
        let message = json!({ "op": "sub", "id": id, "topic": topic, "args": args }).to_string();
        socket.send(Message::text(message)).await.unwrap();
        let told = async {
            loop {
                let message = socket.next().await.unwrap().unwrap();
                let frame: Value =
                    serde_json::from_str(message.to_text().unwrap()).unwrap_or_default();
                if frame["id"] == id {
                    return frame;
                }
            }
        };
        let frame = tokio::time::timeout(wait, told).await.unwrap();
        assert_eq!(frame["t"] == "snap", allowed, "{topic}: {frame}");
        assert!(
            allowed || frame.to_string().contains("forbidden"),
            "{topic}: {frame}"
        );
    }
}
