//! Codes of an authenticator app and recovery codes, with an authenticator of the test's own (RFC 6238).

use std::time::{SystemTime, UNIX_EPOCH};

use api::auth::Role;
use serde_json::{Value, json};

use crate::site::{Answer, PASSWORD, Site, Visitor};

/// What an authenticator app shows: HMAC by another library than the server's.
fn code_of(secret: &str, steps_later: i64) -> String {
    let mut bits = 0_u64;
    let mut count = 0;
    let mut key = Vec::new();
    for letter in secret.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        };
        bits = (bits << 5) | u64::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            key.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let step = i64::try_from(now.as_secs()).unwrap() / 30 + steps_later;
    let mac = hmac_sha1(&key, &step.to_be_bytes());
    let offset = usize::from(mac[19] & 15);
    let word = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

/// RFC 2104.
fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    use sha1::{Digest as _, Sha1};
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha1::new()
        .chain_update(pad(0x36))
        .chain_update(message)
        .finalize();
    Sha1::new()
        .chain_update(pad(0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

async fn enable(visitor: &Visitor) -> (String, Vec<String>) {
    let begun = visitor.post("/account/totp/begin", &json!({})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    let begun = begun.json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    let uri = begun["uri"].as_str().unwrap();
    assert!(
        uri.starts_with("otpauth://totp/ContainerOS:") && uri.contains(&secret),
        "{uri}"
    );
    let wrong = visitor
        .post("/account/totp/enable", &json!({ "code": "000000" }))
        .await;
    // One in a million times this is the code.
    if wrong.status == 422 {
        assert_eq!(wrong.fields(), ["code"]);
    }
    let body = json!({ "code": code_of(&secret, -1) });
    let enabled = visitor.post("/account/totp/enable", &body).await;
    assert_eq!(enabled.status, 200, "{}", enabled.text);
    let codes: Vec<String> = serde_json::from_value(enabled.json()["codes"].clone()).unwrap();
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

async fn log_in(site: &Site, code: Value) -> Answer {
    let mut body = json!({ "name": "ana", "password": PASSWORD });
    if !code.is_null() {
        body["code"] = code;
    }
    site.visitor().post("/auth/login", &body).await
}

#[tokio::test]
async fn with_an_authenticator_the_password_alone_opens_nothing_and_a_code_works_once() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    admin
        .post("/account/totp/enable", &json!({ "code": "123456" }))
        .await
        .assert_problem(409, "conflict");
    admin
        .post("/account/recovery-codes", &json!({}))
        .await
        .assert_problem(409, "conflict");
    let (secret, recovery) = enable(&admin).await;
    admin
        .post("/account/totp/begin", &json!({}))
        .await
        .assert_problem(409, "conflict");
    let status = admin.get("/account/second-factor").await.json();
    assert_eq!(status, json!({ "totp": true, "recovery_codes": 10 }));
    let asked = log_in(&site, Value::Null).await;
    asked.assert_problem(401, "second_factor_required");
    assert!(!asked.headers.contains_key("set-cookie"));
    // Who does not have the password is not told that there is a code.
    let body = json!({ "name": "ana", "password": "wrong wrong wrong", "code": "000000" });
    site.visitor()
        .post("/auth/login", &body)
        .await
        .assert_problem(401, "wrong_credentials");
    // The one that enabled it was taken.
    log_in(&site, json!(code_of(&secret, -1)))
        .await
        .assert_problem(401, "wrong_credentials");
    let code = code_of(&secret, 0);
    assert_eq!(log_in(&site, json!(code)).await.status, 200);
    log_in(&site, json!(code))
        .await
        .assert_problem(401, "wrong_credentials");
    // Recovery codes, as people type them, each once.
    let typed = recovery[3].to_uppercase().replace('-', " ");
    assert_eq!(log_in(&site, json!(typed)).await.status, 200);
    log_in(&site, json!(recovery[3]))
        .await
        .assert_problem(401, "wrong_credentials");
    let status = admin.get("/account/second-factor").await.json();
    assert_eq!(status["recovery_codes"], 9);
    let renewed = admin
        .post("/account/recovery-codes", &json!({}))
        .await
        .json();
    log_in(&site, json!(recovery[4]))
        .await
        .assert_problem(401, "wrong_credentials");
    assert_eq!(log_in(&site, renewed["codes"][0].clone()).await.status, 200);
    let off = admin.post("/account/totp/disable", &json!({})).await.json();
    assert_eq!(off, json!({ "totp": false, "recovery_codes": 0 }));
    assert_eq!(log_in(&site, Value::Null).await.status, 200);
}

#[tokio::test]
async fn codes_cannot_be_guessed_and_the_secret_is_not_in_the_database() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let (secret, recovery) = enable(&admin).await;
    for _ in 0..5 {
        log_in(&site, json!("000000"))
            .await
            .assert_problem(401, "wrong_credentials");
    }
    let locked = log_in(&site, json!(recovery[0])).await;
    locked.assert_problem(429, "rate_limited");
    for file in ["server.db", "server.db-wal", "audit.jsonl"] {
        let bytes = std::fs::read(site.dir.path().join("server").join(file)).unwrap_or_default();
        let kept = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!kept.contains(&secret.to_lowercase()), "{file}");
        assert!(!kept.contains(&recovery[0].replace('-', "")), "{file}");
    }
}

#[tokio::test]
async fn an_administrator_takes_away_what_a_user_lost() {
    let site = Site::alone().await;
    let admin = site.set_up().await;
    let vera = site.user("vera", Role::Viewer).await;
    enable(&vera).await;
    assert_eq!(admin.get("/users/vera").await.json()["totp"], true);
    let path = "/users/vera/second-factor/remove";
    let removed = admin.post(path, &json!({})).await;
    assert_eq!(removed.json()["totp"], false, "{}", removed.text);
    vera.get("/engines")
        .await
        .assert_problem(401, "unauthenticated");
    site.log_in("vera").await;
}
