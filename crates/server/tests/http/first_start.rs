//! SECURITY rules 2 to 4: the one-time token, passwords, sessions.

use std::time::Duration;

use http::Method;
use serde_json::json;
use server::auth::{ABSOLUTE_LIMIT, IDLE_LIMIT};

use crate::site::{PASSWORD, Site, send};

#[tokio::test]
async fn until_set_up_nothing_but_set_up_is_answered() {
    let site = Site::alone().await;
    let visitor = site.visitor();
    let status = visitor.get("/auth/session").await.json();
    assert_eq!(
        status,
        json!({ "setup_required": true, "me": null, "server_version": null })
    );
    for path in [
        "/capabilities",
        "/engines",
        "/host",
        "/jobs",
        "/live",
        "/openapi.json",
    ] {
        visitor
            .get(path)
            .await
            .assert_problem(401, "setup_required");
    }
}

#[tokio::test]
async fn the_token_is_in_the_fragment_and_in_a_private_file_and_dies_at_its_use() {
    let site = Site::alone().await;
    let file = site.dir.path().join("setup-token");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), site.token());
    assert_eq!(site.token().len(), 32, "128 bits in hexadecimal digits");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let directory = site.dir.path().join("server");
        assert_eq!(
            directory.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
    let wrong = json!({ "token": "0".repeat(32), "name": "eve", "password": PASSWORD });
    site.visitor()
        .post("/auth/setup", &wrong)
        .await
        .assert_problem(401, "wrong_credentials");
    site.set_up().await;
    assert!(!file.exists());
    let again = json!({ "token": site.token(), "name": "eve", "password": PASSWORD });
    site.visitor()
        .post("/auth/setup", &again)
        .await
        .assert_problem(409, "setup_done");
}

#[tokio::test]
async fn a_weak_password_or_name_is_told_in_its_field_and_uses_no_try() {
    let site = Site::alone().await;
    for _ in 0..12 {
        let body = json!({ "token": site.token(), "name": "a b", "password": "short" });
        let answer = site.visitor().post("/auth/setup", &body).await;
        answer.assert_problem(422, "invalid");
        assert_eq!(answer.fields(), ["name", "password"]);
    }
    let long = json!({ "token": site.token(), "name": "ana", "password": "x".repeat(1025) });
    assert_eq!(
        site.visitor().post("/auth/setup", &long).await.fields(),
        ["password"]
    );
    site.set_up().await;
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_for_scripts_and_other_sites_and_only_its_hash_is_kept() {
    let site = Site::alone().await;
    site.set_up().await;
    let body = json!({ "name": "ANA", "password": PASSWORD });
    let answer = site.visitor().post("/auth/login", &body).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap().to_owned();
    for part in [
        "; Path=/",
        "; HttpOnly",
        "; SameSite=Strict",
        "; Max-Age=43200",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let port = site.base.rsplit(':').next().unwrap();
    let (name, secret) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    assert_eq!(name, format!("cos-{port}"));
    assert_eq!(secret.len(), 64, "256 bits in hexadecimal digits");
    // The write-ahead log is a part of the database.
    for file in ["server.db", "server.db-wal"] {
        let bytes = std::fs::read(site.dir.path().join("server").join(file)).unwrap_or_default();
        let kept = String::from_utf8_lossy(&bytes);
        assert!(!kept.contains(secret) && !kept.contains(PASSWORD), "{file}");
    }
    let audit = std::fs::read_to_string(site.dir.path().join("server/audit.jsonl")).unwrap();
    assert!(!audit.contains(secret) && !audit.contains(PASSWORD));
    assert!(audit.contains("\"operation\":\"Login\""));
}

#[tokio::test]
async fn a_session_ends_by_sign_out_by_idleness_and_by_age() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    assert_eq!(admin.get("/engines").await.status, 200);
    assert_eq!(admin.post("/auth/logout", &json!({})).await.status, 204);
    admin
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    for (column, limit) in [
        ("last_used_at_ms", IDLE_LIMIT),
        ("created_at_ms", ABSOLUTE_LIMIT),
    ] {
        let visitor = site.log_in("ana").await;
        assert_eq!(visitor.get("/engines").await.status, 200);
        let past = i64::try_from((limit + Duration::from_secs(1)).as_millis()).unwrap();
        site.state
            .db
            .run("age sessions", move |c| {
                c.execute(
                    &format!("UPDATE sessions SET {column} = {column} - ?1"),
                    [past],
                )
            })
            .await
            .unwrap();
        visitor
            .get("/engines")
            .await
            .assert_problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn a_session_is_taken_from_the_cookie_only() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let secret = admin.cookie.split('=').nth(1).unwrap().to_owned();
    let stranger = site.visitor();
    stranger
        .get(&format!("/engines?token={secret}"))
        .await
        .assert_problem(401, "unauthenticated");
    stranger
        .get(&format!("/engines?{}", admin.cookie))
        .await
        .assert_problem(401, "unauthenticated");
    let bearer = stranger
        .request(Method::GET, "/engines")
        .header("authorization", format!("Bearer {secret}"));
    send(bearer).await.assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn five_wrong_passwords_lock_a_name_for_an_address_and_nobody_else() {
    let site = Site::alone().await;
    site.set_up().await;
    let wrong = json!({ "name": "ana", "password": "wrong horse battery" });
    let unknown = json!({ "name": "nobody", "password": "wrong horse battery" });
    let first = site.visitor().post("/auth/login", &wrong).await;
    first.assert_problem(401, "wrong_credentials");
    let other = site.visitor().post("/auth/login", &unknown).await;
    // Nobody learns which names exist.
    assert_eq!(first.json()["detail"], other.json()["detail"]);
    for _ in 1..5 {
        site.visitor()
            .post("/auth/login", &wrong)
            .await
            .assert_problem(401, "wrong_credentials");
    }
    let right = json!({ "name": "ana", "password": PASSWORD });
    let locked = site.visitor().post("/auth/login", &right).await;
    locked.assert_problem(429, "rate_limited");
    let wait: u64 = locked.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(locked.json()["retry_after_s"], wait);
    site.visitor()
        .post("/auth/login", &unknown)
        .await
        .assert_problem(401, "wrong_credentials");
}

#[tokio::test]
async fn a_session_makes_at_most_600_requests_a_minute() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let mut refused = None;
    for _ in 0..601 {
        let answer = admin.get("/jobs").await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("the 601st request is refused");
    refused.assert_problem(429, "rate_limited");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(site.log_in("ana").await.get("/jobs").await.status, 200);
}

#[tokio::test]
async fn power_over_the_host_asks_for_the_password_again() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let privileged = json!({ "image": "x", "privileged": true });
    let path = "/engines/docker/containers";
    // There is no engine to do it; what matters is that it would be asked.
    admin
        .post(path, &privileged)
        .await
        .assert_problem(502, "engine_unreachable");
    site.state
        .db
        .run("age the confirmation", |c| {
            c.execute(
                "UPDATE sessions SET confirmed_at_ms = confirmed_at_ms - 601000",
                [],
            )
        })
        .await
        .unwrap();
    admin
        .post(path, &privileged)
        .await
        .assert_problem(403, "reauthenticate");
    admin
        .post(path, &json!({ "image": "x" }))
        .await
        .assert_problem(502, "engine_unreachable");
    let wrong = json!({ "password": "wrong horse battery" });
    admin
        .post("/auth/confirm", &wrong)
        .await
        .assert_problem(401, "wrong_credentials");
    admin
        .post(path, &privileged)
        .await
        .assert_problem(403, "reauthenticate");
    let right = json!({ "password": PASSWORD });
    assert_eq!(admin.post("/auth/confirm", &right).await.status, 200);
    admin
        .post(path, &privileged)
        .await
        .assert_problem(502, "engine_unreachable");
    site.visitor()
        .post("/auth/confirm", &right)
        .await
        .assert_problem(401, "unauthenticated");
}
