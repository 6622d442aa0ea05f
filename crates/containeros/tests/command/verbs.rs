//! `config`, `user`, `doctor`.

use std::path::Path;

use crate::running::{Serving, command, cookie_of, program, run, text};

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(
        &file,
        "listen = \"127.0.0.1:1\"\nrun_dir = \"/from/file\"\ndocker = \"tcp://from.file:1\"\n",
    )
    .unwrap();
    let output = command(program())
        .args(["config", "--docker", "tcp://from.flag:1", "--config"])
        .arg(&file)
        .env("CONTAINEROS_DOCKER", "tcp://from.environment:1")
        .env("CONTAINEROS_RUN_DIR", "/from/environment")
        .output()
        .unwrap();
    let printed = text(&output.stdout);
    for line in [
        "docker = \"tcp://from.flag:1\"",
        "run_dir = \"/from/environment\"",
        "listen = \"127.0.0.1:1\"",
        "log = \"info\"",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}: {printed}"
        );
    }
    // What it prints is a file that says the same.
    std::fs::write(&file, &printed).unwrap();
    let again = command(program())
        .args(["config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(text(&again.stdout), printed);
}

#[test]
fn a_wrong_setting_is_told_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "listn = \"x\"\n").unwrap();
    let output = command(program())
        .args(["config", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.contains("listn") && told.contains("config.toml"),
        "{told}"
    );
    assert_eq!(
        run(&["config", "--listen", "nowhere"], "").status.code(),
        Some(2)
    );
}

fn user(state: &Path, verb: &str, name: &str, password: &str) -> (Option<i32>, String) {
    let state = state.to_str().unwrap();
    let output = run(
        &["user", verb, name, "--state-dir", state],
        &format!("{password}\n"),
    );
    (
        output.status.code(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

#[test]
fn a_user_is_added_signs_in_and_gets_a_new_password() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    for (name, password, words) in [
        ("ana", "short", "at least 12"),
        ("a b", "a long password 1", "name must"),
    ] {
        let (code, told) = user(&state, "add", name, password);
        assert!(code == Some(1) && told.contains(words), "{told}");
    }
    assert_eq!(user(&state, "add", "ana", "a long password 1").0, Some(0));
    assert!(
        user(&state, "add", "Ana", "a long password 1")
            .1
            .contains("exists already")
    );
    let serving = Serving::start(dir.path(), &["--mini-path", "/nonexistent/mini"]);
    assert_eq!(
        serving.token, None,
        "there is a user, so there is no set-up"
    );
    let login = |password: &str| {
        let body = format!("{{\"name\":\"ana\",\"password\":\"{password}\"}}");
        serving.ask("POST", "/auth/login", "", &body)
    };
    let (status, head, _) = login("a long password 1");
    assert_eq!(status, 200);
    // While the server runs: the password changes and every session of the user is over.
    assert_eq!(user(&state, "reset", "ana", "a long password 2").0, Some(0));
    assert_eq!(serving.ask("GET", "/engines", &cookie_of(&head), "").0, 401);
    assert_eq!(login("a long password 1").0, 401);
    assert_eq!(login("a long password 2").0, 200);
    assert!(
        user(&state, "reset", "nobody", "a long password 2")
            .1
            .contains("no user of this name")
    );
}

#[test]
fn the_doctor_looks_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let arguments = [
        "doctor",
        "--json",
        "--docker",
        "unix:///nonexistent.sock",
        "--state-dir",
    ];
    let output = command(program())
        .args(arguments)
        .arg(&state)
        .output()
        .unwrap();
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = checks.as_array().unwrap();
    assert!(!state.exists());
    let find = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!(find("docker")["verdict"], "missing");
    assert!(
        find("docker")["remedy"]
            .as_str()
            .unwrap()
            .contains("docker.io")
    );
    assert_eq!(find("state directory")["verdict"], "ok");
    for check in checks {
        assert_eq!(
            check["verdict"] == "ok",
            check.get("remedy").is_none(),
            "{check}"
        );
    }
    if cfg!(target_os = "linux") {
        for name in [
            "root",
            "kernel",
            "overlayfs",
            "namespaces",
            "seccomp",
            "control groups",
            "nft",
            "mini program",
        ] {
            find(name);
        }
    }
}

#[test]
fn a_token_of_the_host_opens_the_api_until_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let state = state.to_str().unwrap().to_owned();
    let token = |arguments: &[&str]| {
        let mut all = vec!["token"];
        all.extend(arguments);
        all.extend(["--state-dir", &state]);
        run(&all, "")
    };
    // Before the server ever ran, and the token alone on its line.
    let created = token(&["create", "ci", "--role", "viewer", "--expires", "1d"]);
    assert_eq!(created.status.code(), Some(0), "{}", text(&created.stderr));
    let secret = text(&created.stdout);
    let secret = secret.strip_suffix('\n').unwrap();
    assert!(secret.len() == 76 && secret.starts_with("cos_"), "{secret}");
    let serving = Serving::start(dir.path(), &["--mini-path", "/nonexistent/mini"]);
    let ask = |method: &str, path: &str, secret: &str| {
        let bearer = format!("Authorization: Bearer {secret}");
        serving.ask_with(method, path, &bearer, "{}").0
    };
    assert_eq!(ask("GET", "/engines", secret), 200);
    assert_eq!(ask("POST", "/engines/docker/containers", secret), 403);
    // While it runs, too.
    let created = token(&[
        "create",
        "deploy",
        "--role=admin",
        "--expires=5m",
        "--engine=docker",
    ]);
    let other = text(&created.stdout);
    assert_eq!(ask("GET", "/engines/docker", other.trim()), 200);
    assert_eq!(ask("GET", "/engines/mini", other.trim()), 403);
    let listed = text(&token(&["list"]).stdout);
    assert!(!listed.contains(secret) && !listed.contains(other.trim()));
    let line = listed.lines().find(|line| line.contains("  ci ")).unwrap();
    assert!(line.contains("(host)") && line.contains("viewer"), "{line}");
    let id = line.split(' ').next().unwrap();
    let json = text(&token(&["list", "--json"]).stdout);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(token(&["revoke", id]).status.code(), Some(0));
    assert_eq!(ask("GET", "/engines", secret), 401);
    let again = token(&["revoke", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("no token"));
    for (arguments, words) in [
        (&["create", "x", "--role", "viewer"][..], "--expires"),
        (
            &["create", "x", "--role", "root", "--expires", "1d"],
            "viewer, operator, admin",
        ),
        (
            &["create", "x", "--role", "admin", "--expires", "2y"],
            "no time",
        ),
        (
            &["create", "", "--role", "admin", "--expires", "1d"],
            "the name must",
        ),
        (&["revoke", "../x"], "16 hexadecimal"),
    ] {
        let refused = token(arguments);
        assert_ne!(refused.status.code(), Some(0));
        let told = text(&refused.stderr);
        assert!(told.contains(words), "{told}");
    }
    // Server and command wrote one chain.
    let verify = || run(&["audit", "verify", "--state-dir", &state], "");
    let whole = verify();
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stdout));
    assert!(text(&whole.stdout).starts_with("whole: "));
    let log = dir.path().join("state/server/audit.jsonl");
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(lines.contains("\"TokenRevoke\"") && lines.contains("\"(host)\""));
    assert!(!lines.contains(secret));
    std::fs::write(&log, lines.replace("TokenRevoke", "TokenCreate")).unwrap();
    let broken = verify();
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken.stdout).starts_with("BROKEN at audit.jsonl line"));
}
