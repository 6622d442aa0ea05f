//! SECURITY rule 7: each operation answers each role as the table says, whatever the session has been through.

use std::collections::BTreeSet;

use api::{
    auth::Role,
    operation::{Method, OPERATIONS, Operation, Permission},
};
use http::Method as HttpMethod;
use serde_json::json;

use crate::{
    scripted::ScriptedEngine,
    site::{Answer, Site, Visitor, send},
};

fn path_of(operation: &Operation) -> String {
    operation
        .path
        .replace("{engine}", "docker")
        .replace("{container}", "nope")
        .replace("{image}", "nope")
        .replace("{volume}", "nope")
        .replace("{job}", "nope")
        .replace("{comparison}", "nope")
}

async fn ask(visitor: &Visitor, operation: &Operation) -> Answer {
    let method = match operation.method {
        Method::Get => HttpMethod::GET,
        Method::Post => HttpMethod::POST,
        Method::Patch => HttpMethod::PATCH,
    };
    let request = visitor.request(method, &path_of(operation));
    // An empty object is never enough to do harm: what it lacks is told, or there is no such object.
    send(if operation.mutates() {
        request.body("{}")
    } else {
        request
    })
    .await
}

#[tokio::test]
async fn every_route_answers_every_role_as_the_table_says() {
    let engine = ScriptedEngine::start().await;
    let (site, admin) = Site::with(&engine).await;
    let viewer = site.user("vera", Role::Viewer).await;
    let operator = site.user("olaf", Role::Operator).await;
    let revoked = site.user("rita", Role::Admin).await;
    server::auth::put_user(
        &site.state.db,
        "rita",
        "another long password",
        Role::Admin,
        true,
    )
    .await
    .unwrap();
    let forged = Visitor {
        cookie: format!(
            "{}{}",
            admin.cookie.split('=').next().unwrap(),
            "=".to_owned() + &"a".repeat(64)
        ),
        ..admin.clone()
    };
    engine.asked();
    let mut codes = BTreeSet::new();
    for operation in OPERATIONS
        .iter()
        .filter(|operation| !operation.path.starts_with("/auth/"))
    {
        let name = operation.name;
        for stranger in [&site.visitor(), &revoked, &forged] {
            let answer = ask(stranger, operation).await;
            answer.assert_problem(401, "unauthenticated");
        }
        for (visitor, role) in [
            (&viewer, Role::Viewer),
            (&operator, Role::Operator),
            (&admin, Role::Admin),
        ] {
            let sent = engine.asked().len();
            assert_eq!(sent, 0, "before {name}");
            let answer = ask(visitor, operation).await;
            codes.insert(answer.status);
            if operation.permission.allows(Some(role)) {
                assert!(
                    ![401, 403].contains(&answer.status),
                    "{name} {role:?}: {}",
                    answer.text
                );
            } else {
                answer.assert_problem(403, "forbidden");
                assert!(
                    engine.asked().is_empty(),
                    "{name} {role:?} reached the engine"
                );
            }
            // Every error is a problem, whoever makes it.
            if answer.status >= 400 {
                answer.assert_problem(answer.status, &answer.code());
            }
            engine.asked();
        }
    }
    assert!(
        codes.contains(&200) && codes.contains(&404) && codes.contains(&422),
        "{codes:?}"
    );
}

#[tokio::test]
async fn what_gives_power_over_the_host_is_not_for_operators() {
    let engine = ScriptedEngine::start().await;
    let (site, _admin) = Site::with(&engine).await;
    let operator = site.user("olaf", Role::Operator).await;
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
        engine.asked();
        operator
            .post("/engines/docker/containers", &body)
            .await
            .assert_problem(403, "forbidden");
        assert_eq!(engine.asked(), Vec::<String>::new(), "{body}");
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
