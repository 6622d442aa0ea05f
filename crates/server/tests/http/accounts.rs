//! Users, passwords and sessions: what administrators and people themselves do with them.

use api::auth::Role;
use serde_json::json;

use crate::site::{PASSWORD, Site};

const ANOTHER: &str = "another long password";

#[tokio::test]
async fn a_new_user_signs_in_with_a_one_time_password_and_must_choose_another() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let made = admin
        .post("/users", &json!({ "name": "olaf", "role": "operator" }))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert_eq!(made["user"]["role"], "operator");
    assert_eq!(made["user"]["must_change_password"], true);
    let once = made["password"].as_str().unwrap().to_owned();
    admin
        .post("/users", &json!({ "name": "OLAF", "role": "viewer" }))
        .await
        .assert_problem(409, "conflict");
    let olaf = site.log_in_with("olaf", &once).await;
    let status = olaf.get("/auth/session").await.json();
    assert_eq!(status["me"]["must_change_password"], true);
    for path in ["/engines", "/account/sessions", "/jobs"] {
        olaf.get(path)
            .await
            .assert_problem(403, "password_change_required");
    }
    let change = |current: &str, new: &str| json!({ "current": current, "new": new });
    for (current, new, field) in [
        (once.as_str(), "short", "new"),
        (once.as_str(), once.as_str(), "new"),
        ("wrong wrong wrong", ANOTHER, "current"),
    ] {
        let answer = olaf.post("/account/password", &change(current, new)).await;
        answer.assert_problem(422, "invalid");
        assert_eq!(answer.fields(), [field]);
    }
    let changed = olaf
        .post("/account/password", &change(&once, ANOTHER))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(olaf.get("/engines").await.status, 200);
    site.refuse_log_in("olaf", &once).await;
    site.log_in_with("olaf", ANOTHER).await;
    // Nobody keeps it in clear.
    for file in ["server.db", "server.db-wal", "audit.jsonl"] {
        let bytes = std::fs::read(site.dir.path().join("server").join(file)).unwrap_or_default();
        let kept = String::from_utf8_lossy(&bytes);
        assert!(!kept.contains(&once) && !kept.contains(ANOTHER), "{file}");
    }
}

#[tokio::test]
async fn a_one_time_password_ends_after_three_days_and_gives_no_hint_to_others() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    site.user("olaf", Role::Viewer).await;
    let made = admin
        .post("/users/olaf/one-time-password", &json!({}))
        .await;
    assert_eq!(made.status, 200, "{}", made.text);
    let once = made.json()["password"].as_str().unwrap().to_owned();
    site.refuse_log_in("olaf", PASSWORD).await;
    let age = site.state.db.run("age", |c| {
        c.execute(
            "UPDATE users SET one_time_until_ms = 1 WHERE name = 'olaf'",
            [],
        )
    });
    assert_eq!(age.await.unwrap(), 1);
    let body = json!({ "name": "olaf", "password": once });
    let late = site.visitor().post("/auth/login", &body).await;
    late.assert_problem(401, "wrong_credentials");
    assert!(late.json()["detail"].as_str().unwrap().contains("too old"));
    let wrong = json!({ "name": "olaf", "password": "wrong wrong wrong" });
    let wrong = site.visitor().post("/auth/login", &wrong).await.json();
    assert_eq!(wrong["detail"], "wrong name or password");
}

#[tokio::test]
async fn a_change_of_role_counts_at_once_and_a_disabled_user_is_out() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let olaf = site.user("olaf", Role::Admin).await;
    assert_eq!(olaf.get("/users").await.status, 200);
    let patched = admin
        .patch("/users/olaf", &json!({ "role": "viewer" }))
        .await;
    assert_eq!(patched.json()["role"], "viewer", "{}", patched.text);
    olaf.get("/users").await.assert_problem(403, "forbidden");
    assert_eq!(olaf.get("/engines").await.status, 200);
    let patched = admin
        .patch("/users/olaf", &json!({ "disabled": true }))
        .await;
    assert_eq!(patched.json()["disabled"], true);
    olaf.get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    let body = json!({ "name": "olaf", "password": PASSWORD });
    site.visitor()
        .post("/auth/login", &body)
        .await
        .assert_problem(403, "forbidden");
    // Who does not have the password learns nothing of it.
    site.refuse_log_in("olaf", "wrong wrong wrong").await;
    admin
        .patch("/users/olaf", &json!({ "disabled": false }))
        .await;
    site.log_in("olaf").await;
    assert_eq!(
        admin.post("/users/olaf/remove", &json!({})).await.status,
        200
    );
    site.refuse_log_in("olaf", PASSWORD).await;
    admin
        .get("/users/olaf")
        .await
        .assert_problem(404, "not_found");
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    site.user("vera", Role::Viewer).await;
    let demote = json!({ "role": "operator" });
    let disable = json!({ "disabled": true });
    for answer in [
        admin.patch("/users/ana", &demote).await,
        admin.patch("/users/ANA", &disable).await,
        admin.post("/users/ana/remove", &json!({})).await,
    ] {
        answer.assert_problem(409, "conflict");
    }
    let other = site.user("adam", Role::Admin).await;
    // A disabled administrator is none.
    admin.patch("/users/adam", &disable).await;
    admin
        .patch("/users/ana", &demote)
        .await
        .assert_problem(409, "conflict");
    admin
        .patch("/users/adam", &json!({ "disabled": false }))
        .await;
    other
        .get("/users")
        .await
        .assert_problem(401, "unauthenticated");
    assert_eq!(admin.patch("/users/ana", &demote).await.status, 200);
    // Both at once: one of them stays.
    let adam = site.log_in("adam").await;
    site.user("eva", Role::Admin).await;
    let eva = site.log_in("eva").await;
    let (one, two) = tokio::join!(
        adam.patch("/users/eva", &demote),
        eva.patch("/users/adam", &demote)
    );
    let done = [one.status, two.status];
    assert_eq!(
        done.iter().filter(|status| **status == 200).count(),
        1,
        "{done:?}"
    );
}

#[tokio::test]
async fn people_see_and_end_their_sessions_and_administrators_everybodys() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let first = site.user("vera", Role::Viewer).await;
    let second = site.log_in("vera").await;
    let third = site.log_in("vera").await;
    let listed = first.get("/account/sessions").await.json();
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    let current: Vec<_> = items.iter().filter(|s| s["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["ip"], "127.0.0.1");
    assert_eq!(current[0]["user"], "vera");
    // A handle opens nothing, and not another's session ends.
    let own = current[0]["id"].as_str().unwrap();
    let of_second = second.get("/account/sessions").await.json();
    let of_second = of_second["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["current"] == true)
        .unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(own, of_second);
    let end = format!("/account/sessions/{of_second}/end");
    admin
        .post(&end, &json!({}))
        .await
        .assert_problem(404, "not_found");
    assert_eq!(first.post(&end, &json!({})).await.json()["sessions"], 1);
    second
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    assert_eq!(third.get("/engines").await.status, 200);
    let others = first.post("/account/sessions/end-others", &json!({})).await;
    assert_eq!(others.json()["sessions"], 1);
    third
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    assert_eq!(first.get("/engines").await.status, 200);
    let seen = admin.get("/users/vera/sessions").await.json();
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/users/vera").await.json()["sessions"], 1);
    let ended = admin.post("/users/vera/sessions/end", &json!({})).await;
    assert_eq!(ended.json()["sessions"], 1);
    first
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_keeps_this_one() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let other = site.log_in("ana").await;
    let body = json!({ "current": PASSWORD, "new": ANOTHER });
    let changed = admin.post("/account/password", &body).await;
    assert_eq!(changed.json()["sessions"], 1, "{}", changed.text);
    assert_eq!(admin.get("/engines").await.status, 200);
    other
        .get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    // Guessing the present one is limited as signing in is.
    let guess = json!({ "current": "wrong wrong wrong", "new": PASSWORD });
    for _ in 0..5 {
        let answer = admin.post("/account/password", &guess).await;
        assert_eq!(answer.fields(), ["current"]);
    }
    admin
        .post("/account/password", &guess)
        .await
        .assert_problem(429, "rate_limited");
}
