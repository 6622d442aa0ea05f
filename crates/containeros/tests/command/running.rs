//! A `containeros serve` of its own, and requests to it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

pub(crate) const PASSWORD: &str = "correct horse battery";
const NOBODY: u32 = 65_534;

/// The command with nothing of this shell's settings.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    let ours = std::env::vars_os().map(|(name, _)| name);
    for name in ours.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CONTAINEROS_") || name.starts_with("DOCKER_")
    }) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_containeros"))
}

/// Runs a verb to its end.
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = command(program())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that runs; killed with this.
pub(crate) struct Serving {
    child: Child,
    /// All lines that it printed up to the address.
    pub(crate) printed: Vec<String>,
    pub(crate) address: String,
    pub(crate) token: Option<String>,
}

impl Serving {
    /// Starts one in a directory without engines, unless the arguments name some.
    pub(crate) fn start(directory: &Path, more: &[&str]) -> Self {
        Self::start_as(program(), directory, more, false)
    }

    /// The same as a user without rights.
    pub(crate) fn start_as(program: &Path, directory: &Path, more: &[&str], nobody: bool) -> Self {
        let (state, run) = (directory.join("state"), directory.join("run"));
        let mut command = command(program);
        command
            .arg("serve")
            .args([
                "--listen",
                "127.0.0.1:0",
                "--docker",
                "unix:///nonexistent.sock",
            ])
            .arg("--state-dir")
            .arg(state)
            .arg("--run-dir")
            .arg(run)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command.spawn().unwrap();
        let mut printed = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            printed.push(line.unwrap());
            if printed.last().unwrap().starts_with("ContainerOS is at ") {
                break;
            }
        }
        let url = printed.last().cloned().unwrap_or_default();
        let url = url
            .trim_start_matches("ContainerOS is at http://")
            .to_owned();
        let (address, rest) = url.split_once('/').unwrap_or_default();
        Self {
            child,
            token: rest.strip_prefix("setup#token=").map(str::to_owned),
            address: address.to_owned(),
            printed,
        }
    }

    pub(crate) fn signal(&mut self, name: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .status()
                .unwrap()
                .success()
        );
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "it does not end on {name}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends one request; returns status, head and body.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        cookie: &str,
        body: &str,
    ) -> (u16, String, String) {
        self.ask_with(method, path, &format!("Cookie: {cookie}"), body)
    }

    /// Sends one request with a header that says who asks.
    pub(crate) fn ask_with(
        &self,
        method: &str,
        path: &str,
        who: &str,
        body: &str,
    ) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\n{who}\r\n\
             Content-Type: application/json\r\nContent-Length: {1}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = text(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    /// Makes the administrator and returns the cookie.
    pub(crate) fn set_up(&self) -> String {
        let token = self.token.as_deref().unwrap();
        let body =
            format!("{{\"token\":\"{token}\",\"name\":\"ana\",\"password\":\"{PASSWORD}\"}}");
        let (status, head, answer) = self.ask("POST", "/auth/setup", "", &body);
        assert_eq!(status, 201, "{answer}");
        cookie_of(&head)
    }
}

pub(crate) fn cookie_of(head: &str) -> String {
    let line = head
        .lines()
        .find(|line| line.starts_with("set-cookie: "))
        .unwrap();
    let cookie = line.trim_start_matches("set-cookie: ");
    cookie.split(';').next().unwrap().to_owned()
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
