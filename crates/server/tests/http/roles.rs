//! SECURITY rule 7: every route answers everybody as `docs/permissions.md` says, whatever the session or token has been through.

use std::{collections::BTreeSet, fmt::Write as _};

use api::{
    auth::Role,
    operation::{Method, OPERATIONS, Operation, Permission},
};
use http::Method as HttpMethod;
use serde_json::json;

use crate::{
    scripted::ScriptedEngine,
    site::{Answer, PASSWORD, Site, Visitor, send},
};

/// The table that people read and review. `CONTAINEROS_WRITE_PERMISSIONS=1` writes it anew.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/permissions.md");

const INTRODUCTION: &str = "# Who may do what

Every operation of the web API and how it answers each kind of caller. This table is checked in and compared with what a running server
answers to each of them; a route that is not in it, or answers another way, fails the tests.

- **none**: nobody is signed in, or the session or token is unknown, expired or revoked (each of them is tried).
- **viewer**, **operator**, **admin**: a session of that role whose password was given in the last ten minutes.
- **later**: an administrator's session whose password was given longer ago.
- **token**: an administrator's API token; **reads**: the same, made to only read; **mini**: the same, made for the engine `mini` only, on
  routes of the engine `docker`.

`yes`: it is done, or told what is wrong with it. `401`: sign in. `403`: forbidden. `again`: give the password again, then it is done.

";

fn path_of(operation: &Operation) -> String {
    let segments = operation.path.split('/').map(|segment| match segment {
        "{engine}" => "docker",
        "{session}" | "{token}" | "{rule}" | "{channel}" => "0123456789abcdef",
        parameter if parameter.starts_with('{') => "nope",
        other => other,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Asks with an empty object, which is never enough to do harm: what it lacks is told, or there is no such object.
async fn ask(visitor: &Visitor, operation: &Operation) -> Answer {
    let method = match operation.method {
        Method::Get => HttpMethod::GET,
        Method::Post => HttpMethod::POST,
        Method::Patch => HttpMethod::PATCH,
        Method::Put => HttpMethod::PUT,
    };
    let request = visitor.request(method, &path_of(operation));
    send(if operation.mutates() {
        request.body("{}")
    } else {
        request
    })
    .await
}

/// One word of the table.
fn word(answer: &Answer) -> &'static str {
    match (answer.status, answer.status >= 400) {
        (_, false) => "yes",
        (401, _) => "401",
        (403, _) => match answer.code().as_str() {
            "reauthenticate" => "again",
            _ => "403",
        },
        _ => "yes",
    }
}

/// Everybody whose session or token does not work (any more).
async fn strangers(site: &Site, admin: &Visitor) -> Vec<Visitor> {
    let secret_of = async |role: &str| {
        let body = json!({ "name": "x", "role": role, "expires_in_s": 3600 });
        let made = admin.post("/tokens", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let made = made.json();
        let text = |pointer: &str| made.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        (text("/token/id"), text("/secret"))
    };
    let revoked_session = site.user("rita", Role::Admin).await;
    let put = server::auth::put_user(&site.state.db, "rita", PASSWORD, Role::Admin, true).await;
    assert!(put.unwrap());
    let expired_session = site.user("erik", Role::Admin).await;
    let disabled = site.user("dora", Role::Admin).await;
    let body = json!({ "disabled": true });
    assert_eq!(admin.patch("/users/dora", &body).await.status, 200);
    let name = admin.cookie.split('=').next().unwrap().to_owned();
    let forged_session = Visitor {
        cookie: format!("{name}={}", "a".repeat(64)),
        ..admin.clone()
    };
    let (id, revoked) = secret_of("admin").await;
    let revoke = format!("/tokens/{id}/revoke");
    assert_eq!(admin.post(&revoke, &json!({})).await.status, 200);
    let (id, expired) = secret_of("admin").await;
    let age = site.state.db.run("age", move |c| {
        c.execute(
            "UPDATE sessions SET created_at_ms = 0 WHERE user = 'erik'",
            [],
        )?;
        c.execute("UPDATE tokens SET expires_at_ms = 1 WHERE id = ?1", [&id])
    });
    assert_eq!(age.await.unwrap(), 1);
    let (_, whole) = secret_of("admin").await;
    let forged = format!("{}{}", &whole[..75], i32::from(whole.ends_with('0')));
    let of_disabled = {
        let new = server::auth::NewToken {
            name: "d".to_owned(),
            user: Some("dora".to_owned()),
            role: Role::Admin,
            read_only: false,
            engines: None,
            life: std::time::Duration::from_hours(1),
        };
        let (_, secret) = server::auth::create_token(&site.state.db, new)
            .await
            .unwrap();
        secret.expose().to_owned()
    };
    let mut strangers = vec![
        site.visitor(),
        revoked_session,
        expired_session,
        disabled,
        forged_session,
    ];
    for secret in [revoked, expired, forged, of_disabled, String::new()] {
        strangers.push(site.visitor().with_token(&secret));
    }
    strangers
}

/// Those whose answers are columns of the table.
async fn known(site: &Site, admin: &Visitor) -> Vec<(&'static str, Visitor)> {
    let token = async |body: serde_json::Value| {
        let made = admin.post("/tokens", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        site.visitor()
            .with_token(made.json()["secret"].as_str().unwrap())
    };
    let later = site.user("lara", Role::Admin).await;
    let age = site.state.db.run("age", |c| {
        c.execute(
            "UPDATE sessions SET confirmed_at_ms = 0 WHERE user = 'lara'",
            [],
        )
    });
    assert_eq!(age.await.unwrap(), 1);
    let all = json!({ "name": "a", "role": "admin", "expires_in_s": 3600 });
    let mut reads = all.clone();
    reads["read_only"] = json!(true);
    let mut mini = all.clone();
    mini["engines"] = json!(["mini"]);
    vec![
        ("viewer", site.user("vera", Role::Viewer).await),
        ("operator", site.user("olaf", Role::Operator).await),
        ("admin", site.user("adam", Role::Admin).await),
        ("later", later),
        ("token", token(all).await),
        ("reads", token(reads).await),
        ("mini", token(mini).await),
    ]
}

#[tokio::test]
async fn every_route_answers_everybody_as_the_checked_in_table_says() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let strangers = strangers(&site, &admin).await;
    let known = known(&site, &admin).await;
    let mut table = INTRODUCTION.to_owned();
    let columns: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    writeln!(
        table,
        "| operation | route | none | {} |",
        columns.join(" | ")
    )
    .unwrap();
    writeln!(
        table,
        "| --- | --- | --- |{}",
        " --- |".repeat(columns.len())
    )
    .unwrap();
    engine.asked();
    let mut statuses = BTreeSet::new();
    for operation in OPERATIONS {
        let name = operation.name;
        let method = format!("{:?}", operation.method).to_uppercase();
        write!(table, "| {name} | `{method} {}` |", operation.path).unwrap();
        if operation.permission == Permission::Public {
            // Sign-in is tried in its own tests; here it would end sessions.
            writeln!(table, "{}", " yes |".repeat(1 + columns.len())).unwrap();
            continue;
        }
        for stranger in &strangers {
            let answer = ask(stranger, operation).await;
            answer.assert_problem(401, "unauthenticated");
        }
        assert!(
            engine.asked().is_empty(),
            "a stranger's {name} reached the engine"
        );
        write!(table, " 401 |").unwrap();
        for (who, visitor) in &known {
            engine.asked();
            let answer = ask(visitor, operation).await;
            statuses.insert(answer.status);
            let word = word(&answer);
            write!(table, " {word} |").unwrap();
            if word != "yes" {
                assert!(
                    engine.asked().is_empty(),
                    "{name} of {who} reached the engine"
                );
            }
            // Every error is a problem, whoever makes it.
            if answer.status >= 400 {
                answer.assert_problem(answer.status, &answer.code());
            }
        }
        table.push('\n');
        // Some end sessions: whoever was signed out is not asked for another column.
        for (who, visitor) in &known {
            assert_ne!(visitor.get("/nope").await.status, 401, "{who} after {name}");
        }
    }
    assert!(
        [200, 404, 422]
            .iter()
            .all(|status| statuses.contains(status)),
        "{statuses:?}"
    );
    if std::env::var_os("CONTAINEROS_WRITE_PERMISSIONS").is_some() {
        std::fs::write(TABLE, &table).unwrap();
    }
    let committed = std::fs::read_to_string(TABLE).unwrap_or_default();
    let drift: Vec<_> = table
        .lines()
        .filter(|line| !committed.lines().any(|old| old == *line))
        .collect();
    assert!(
        committed == table,
        "docs/permissions.md says otherwise; read what changed, and when it is meant, run this test with \
         CONTAINEROS_WRITE_PERMISSIONS=1:\n{}",
        drift.join("\n")
    );
}

#[tokio::test]
async fn what_gives_power_over_the_host_is_not_for_operators() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let operator = site.user("olaf", Role::Operator).await;
    let token = json!({ "name": "o", "role": "operator", "expires_in_s": 3600 });
    let made = admin.post("/tokens", &token).await.json();
    let program = site.visitor().with_token(made["secret"].as_str().unwrap());
    for fields in [
        json!({ "privileged": true }),
        json!({ "cap_add": ["SYS_ADMIN"] }),
        json!({ "pid_mode": "host" }),
        json!({ "network": "host" }),
        json!({ "network": "container:x" }),
        json!({ "mounts": [{ "kind": "bind", "source": "/", "target": "/h" }] }),
    ] {
        let mut body = fields;
        body["image"] = json!("x");
        for visitor in [&operator, &program] {
            engine.asked();
            visitor
                .post("/engines/docker/containers", &body)
                .await
                .assert_problem(403, "forbidden");
            assert_eq!(engine.asked(), Vec::<String>::new(), "{body}");
        }
    }
    let volume =
        json!({ "name": "v", "driver_options": { "type": "none", "o": "bind", "device": "/" } });
    operator
        .post("/engines/docker/volumes", &volume)
        .await
        .assert_problem(403, "forbidden");
    assert_eq!(engine.asked(), Vec::<String>::new());
}

#[test]
fn only_administrators_reveal_secrets() {
    let reveal = OPERATIONS
        .iter()
        .find(|operation| operation.name == "ContainerReveal");
    assert_eq!(
        reveal.map(|operation| operation.permission),
        Some(Permission::Admin)
    );
}
