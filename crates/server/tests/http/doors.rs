//! SECURITY rules 1, 5 and 6: where requests may come from, and the headers of every answer.

use http::Method;
use serde_json::json;

use crate::site::{Answer, Site, send};

#[tokio::test]
async fn a_change_needs_our_own_origin_and_json() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let url = format!("{}/api/v1/auth/logout", site.base);
    let post = || site.http.post(&url).header("cookie", &admin.cookie);
    let own = &site.base;
    let json = "application/json";
    // Without the page's origin, whatever else is right.
    for request in [
        post().header("content-type", json),
        post().header("content-type", json).header("origin", "null"),
        post()
            .header("content-type", json)
            .header("origin", "http://evil.example"),
        post()
            .header("content-type", json)
            .header("origin", own.replace("http:", "https:")),
        post()
            .header("content-type", json)
            .header("origin", "http://127.0.0.1:9"),
        post()
            .header("content-type", json)
            .header("origin", own)
            .header("sec-fetch-site", "cross-site"),
        post()
            .header("content-type", json)
            .header("origin", own)
            .header("sec-fetch-site", "same-site"),
        post()
            .header("content-type", json)
            .header("origin", own)
            .header("sec-fetch-site", "none"),
    ] {
        send(request.body("{}"))
            .await
            .assert_problem(403, "cross_site");
    }
    // The three content types that a form of another site can send.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let request = site
            .http
            .post(format!("{}/api/v1/engines/docker/volumes", site.base))
            .header("cookie", &admin.cookie)
            .header("origin", own)
            .header("content-type", kind)
            .body("{\"name\":\"x\"}");
        send(request)
            .await
            .assert_problem(415, "unsupported_media_type");
    }
    assert_eq!(
        admin.get("/engines").await.status,
        200,
        "nobody was signed out"
    );
    // Reading from another site, even with the cookie.
    let read = site
        .http
        .get(format!("{}/api/v1/engines", site.base))
        .header("cookie", &admin.cookie)
        .header("sec-fetch-site", "cross-site");
    send(read).await.assert_problem(403, "cross_site");
}

#[tokio::test]
async fn the_live_socket_opens_only_for_our_own_page() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let upgrade = |origin: Option<&str>, cookie: &str| {
        let request = site
            .http
            .get(format!("{}/api/v1/live", site.base))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("cookie", cookie);
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
    };
    for origin in [
        None,
        Some("null"),
        Some("http://evil.example"),
        Some("https://127.0.0.1"),
    ] {
        send(upgrade(origin, &admin.cookie))
            .await
            .assert_problem(403, "cross_site");
    }
    send(upgrade(Some(&site.base), ""))
        .await
        .assert_problem(401, "unauthenticated");
    admin.get("/live").await.assert_problem(400, "malformed");
    let opened = upgrade(Some(&site.base), &admin.cookie)
        .send()
        .await
        .unwrap();
    assert_eq!(opened.status(), 101);
}

#[tokio::test]
async fn a_foreign_host_is_refused_on_every_path() {
    let site = Site::alone().await;
    for path in [
        "/",
        "/assets/x.js",
        "/healthz",
        "/api/v1/auth/session",
        "/containers",
    ] {
        let ask = |host: &str| {
            send(
                site.http
                    .get(format!("{}{path}", site.base))
                    .header("host", host),
            )
        };
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.7",
            "evil.example:7070",
        ] {
            ask(host).await.assert_problem(421, "cross_site");
        }
        for host in ["localhost", "LOCALHOST:1", "[::1]:7070", "box.lan"] {
            assert_ne!(ask(host).await.status, 421, "{host} {path}");
        }
    }
}

fn assert_guarded(answer: &Answer, what: &str) {
    let header = |name: &str| {
        answer
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let policy = header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(rule), "{what}: {policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src 'self' 'unsafe"));
    assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(header("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(
        header("cross-origin-opener-policy"),
        "same-origin",
        "{what}"
    );
    assert_eq!(
        header("cross-origin-resource-policy"),
        "same-origin",
        "{what}"
    );
    assert_eq!(header("x-frame-options"), "DENY", "{what}");
    assert_eq!(header("x-request-id").len(), 16, "{what}");
    assert!(
        !answer.headers.contains_key("access-control-allow-origin"),
        "{what}"
    );
}

#[tokio::test]
async fn every_answer_carries_the_headers_of_rule_6() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    for path in [
        "/",
        "/containers/docker/x",
        "/assets/none.js",
        "/healthz",
        "/favicon.ico",
    ] {
        assert_guarded(
            &send(site.http.get(format!("{}{path}", site.base))).await,
            path,
        );
    }
    for path in [
        "/engines",
        "/nope",
        "/engines/docker/containers/x%2f..%2fy",
        "/host",
    ] {
        let answer = admin.get(path).await;
        assert_guarded(&answer, path);
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
    assert_guarded(&site.visitor().get("/engines").await, "401");
    assert_guarded(
        &send(admin.request(Method::DELETE, "/engines")).await,
        "405",
    );
    let foreign = site.http.get(&site.base).header("host", "evil.example");
    assert_guarded(&send(foreign).await, "421");
}

#[tokio::test]
async fn a_flood_of_set_ups_with_a_wrong_token_ends_the_token() {
    let site = Site::alone().await;
    let wrong = json!({ "token": "wrong", "name": "eve", "password": "correct horse battery" });
    for _ in 0..10 {
        site.visitor()
            .post("/auth/setup", &wrong)
            .await
            .assert_problem(401, "wrong_credentials");
    }
    let right =
        json!({ "token": site.token(), "name": "ana", "password": "correct horse battery" });
    let dead = site.visitor().post("/auth/setup", &right).await;
    dead.assert_problem(401, "wrong_credentials");
    assert!(dead.json()["hint"].as_str().unwrap().contains("restart"));
}
