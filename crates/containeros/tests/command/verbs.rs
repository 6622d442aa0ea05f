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
