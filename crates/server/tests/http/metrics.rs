//! What monitoring programs are told, and to whom.

use serde_json::json;

use crate::{
    scripted::ScriptedEngine,
    site::{Site, send},
};

#[tokio::test]
async fn prometheus_reads_with_a_token_or_at_an_address_of_its_own() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let body =
        json!({ "name": "prometheus", "role": "viewer", "read_only": true, "expires_in_s": 3600 });
    let made = admin.post("/tokens", &body).await.json();
    let secret = made["secret"].as_str().unwrap();
    let root = format!("{}/metrics", site.base);
    send(site.http.get(&root))
        .await
        .assert_problem(401, "unauthenticated");
    let bearer = site
        .http
        .get(&root)
        .header("authorization", format!("Bearer {secret}"));
    let own = site.http.get(format!("{}/metrics", site.monitoring));
    for answer in [
        send(bearer).await,
        send(own).await,
        admin.get("/metrics").await,
    ] {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let kind = answer.headers["content-type"].to_str().unwrap();
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        let text = &answer.text;
        assert!(
            text.contains("containeros_engine_up{engine=\"docker\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("containeros_engine_up{engine=\"mini\"} 0\n"));
        assert!(text.contains("containeros_containers{engine=\"docker\",state=\"running\"} 0\n"));
        // Each line is a comment or a name with a number, each name is told of once.
        let mut seen = std::collections::HashSet::new();
        for line in text.lines() {
            if let Some(told) = line.strip_prefix("# TYPE ") {
                assert!(seen.insert(told.split(' ').next().unwrap()), "{line}");
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.contains(name.split('{').next().unwrap()), "{line}");
            }
        }
        if cfg!(target_os = "linux") {
            assert!(seen.contains("process_cpu_seconds_total"));
            assert!(seen.contains("process_resident_memory_bytes"));
        }
    }
}

#[tokio::test]
async fn the_address_of_its_own_tells_nothing_else() {
    let site = Site::alone().await;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 404),
        ("/api/v1/engines", 404),
        ("/api/v1/auth/session", 404),
    ] {
        let answer = send(site.http.get(format!("{}{path}", site.monitoring))).await;
        assert_eq!(answer.status, status, "{path}");
    }
    let foreign = site
        .http
        .get(format!("{}/metrics", site.monitoring))
        .header("host", "evil.example");
    assert_eq!(send(foreign).await.status, 421);
    for path in ["/healthz", "/readyz"] {
        let answer = send(site.http.get(format!("{}{path}", site.base))).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "ok"));
    }
}
