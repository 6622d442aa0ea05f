//! `containeros serve`: what it prints, what survives a kill, and who it keeps out.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::running::{PASSWORD, Serving, command, is_root, program, run, text};

const NO_MINI: &[&str] = &["--mini-path", "/nonexistent/mini"];

#[test]
fn it_prints_what_is_missing_and_last_one_address_with_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), NO_MINI);
    assert!(
        serving
            .token
            .as_ref()
            .is_some_and(|token| token.len() == 32),
        "{:?}",
        serving.printed
    );
    assert_eq!(serving.printed.len(), 3, "{:?}", serving.printed);
    let docker = &serving.printed[0];
    assert!(
        docker.starts_with("Docker is not here: ") && docker.contains("apt install docker.io"),
        "{docker}"
    );
    assert!(serving.printed[1].starts_with("Mini is not here: "));
    let addresses = serving
        .printed
        .iter()
        .filter(|line| line.contains("http"))
        .count();
    assert_eq!(addresses, 1);
}

#[test]
fn without_root_it_says_what_mini_needs_and_serves() {
    let dir = tempfile::tempdir().unwrap();
    let serving = if is_root() {
        // Where nobody may run it and write.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let copy = dir.path().join("containeros");
        std::fs::copy(program(), &copy).unwrap();
        Serving::start_as(&copy, dir.path(), &[], true)
    } else {
        Serving::start(dir.path(), &[])
    };
    let mini = serving
        .printed
        .iter()
        .find(|line| line.starts_with("Mini is not here: "))
        .unwrap();
    assert!(
        mini.contains("needs root") && mini.contains("sudo"),
        "{mini}"
    );
    let cookie = serving.set_up();
    let (status, _, told) = serving.ask("GET", "/capabilities", &cookie, "");
    assert_eq!(status, 200);
    assert!(
        told.contains("Mini needs root to make namespaces"),
        "{told}"
    );
}

#[test]
fn after_kill_9_everything_is_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Serving::start(dir.path(), NO_MINI);
    let cookie = first.set_up();
    // The cookie is named by the port, which the second start must have again.
    let listen = first.address.clone();
    first.signal("KILL");
    let again = Serving::start(
        dir.path(),
        &["--mini-path", "/nonexistent/mini", "--listen", &listen],
    );
    assert_eq!(again.token, None, "there is an administrator");
    let (status, _, who) = again.ask("GET", "/auth/session", &cookie, "");
    assert_eq!(status, 200);
    assert!(who.contains("\"name\":\"ana\""), "still signed in: {who}");
    let verified = server::audit::verify(&dir.path().join("state/server")).unwrap();
    assert!(verified.whole && verified.lines >= 2, "{verified:?}");
}

#[test]
fn an_unused_token_is_another_one_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Serving::start(dir.path(), NO_MINI);
    assert!(first.signal("TERM").success());
    let second = Serving::start(dir.path(), NO_MINI);
    assert!(second.token.is_some() && second.token != first.token);
}

#[test]
fn one_state_directory_has_one_server_and_several_run_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let one = Serving::start(&dir.path().join("one"), NO_MINI);
    let two = Serving::start(&dir.path().join("two"), NO_MINI);
    assert_ne!(one.address, two.address);
    let state = dir.path().join("one/state");
    let refused = refused(&[
        "--state-dir",
        state.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
    ]);
    assert!(
        refused.contains("another ContainerOS serves from it") && refused.contains("hint: "),
        "{refused}"
    );
    let state = dir.path().join("three");
    let refused = self::refused(&[
        "--state-dir",
        state.to_str().unwrap(),
        "--listen",
        &one.address,
    ]);
    assert!(
        refused.contains("in use") && refused.contains("--listen"),
        "{refused}"
    );
}

fn refused(arguments: &[&str]) -> String {
    let mut all = vec!["serve", "--no-mini", "--docker", "unix:///nonexistent.sock"];
    all.extend(arguments);
    let output = run(&all, "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    text(&output.stderr)
}

#[test]
fn another_address_than_loopback_gets_tls_with_a_private_key() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let child = command(program())
        .args([
            "serve",
            "--no-mini",
            "--docker",
            "unix:///nonexistent.sock",
            "--listen",
            "0.0.0.0:0",
            "--state-dir",
        ])
        .arg(&state)
        .arg("--run-dir")
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let printed = {
        use std::io::{BufRead as _, BufReader};
        let mut lines = Vec::new();
        let mut child = child;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap().starts_with("ContainerOS is at") {
                break;
            }
        }
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        child.wait().unwrap();
        lines.join("\n")
    };
    assert!(
        printed.contains("ContainerOS is at https://localhost:"),
        "{printed}"
    );
    assert!(printed.contains("SHA-256 "), "{printed}");
    let mode = |name: &str| {
        state
            .join("server")
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("key.pem"), 0o600);
}

/// A full disk: the act is refused with a sentence, the server goes on, and all is well when there is room again.
#[test]
fn kernel_a_full_disk_refuses_changes_and_is_survived() {
    if !is_root() {
        skipped("it needs root to mount a small file system");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("state");
    std::fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "containeros-test"])
        .arg(&small)
        .status()
        .unwrap();
    assert!(mounted.success());
    let _mounted = Mounted(&small);
    let serving = Serving::start(dir.path(), NO_MINI);
    let cookie = serving.set_up();
    let filler = small.join("filler");
    // Until not a byte more fits.
    let full = std::fs::write(&filler, vec![0_u8; 4 << 20]);
    assert!(full.is_err());
    let mut refused = None;
    for _ in 0..200 {
        let (status, _, body) = serving.ask(
            "POST",
            "/engines/docker/volumes",
            &cookie,
            "{\"name\":\"v\"}",
        );
        if status == 503 {
            refused = Some(body);
            break;
        }
    }
    let refused = refused.unwrap();
    assert!(
        refused.contains("audit log") && refused.contains("full disk"),
        "{refused}"
    );
    assert_eq!(
        serving.ask("GET", "/engines", &cookie, "").0,
        200,
        "reading goes on"
    );
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(
        serving
            .ask(
                "POST",
                "/engines/docker/volumes",
                &cookie,
                "{\"name\":\"v\"}"
            )
            .0,
        502
    );
    assert_eq!(serving.ask("POST", "/auth/logout", &cookie, "{}").0, 204);
    let login = format!("{{\"name\":\"ana\",\"password\":\"{PASSWORD}\"}}");
    assert_eq!(serving.ask("POST", "/auth/login", "", &login).0, 200);
    drop(serving);
    assert!(server::audit::verify(&small.join("server")).unwrap().whole);
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // What cannot be unmounted is told by the check for leaks.
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a test that does nothing must not do so in silence"
)]
fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
