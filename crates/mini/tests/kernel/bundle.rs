//! A bundle with busybox in it, `mini` run on it, and the check that nothing is left.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cgroups::Layout;
use serde_json::{Value, json};

/// No step of a test takes longer on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// What Docker 20.10 asks runc for, without its paths: all namespaces, limits, its seccomp profile, its capabilities.
const DOCKER: &str = include_str!("../bundles/docker.json");

/// A container's bundle and the state directory of the `mini` that runs it.
pub(crate) struct Bundle {
    pub(crate) id: String,
    pub(crate) config: Value,
    directory: tempfile::TempDir,
}

impl Bundle {
    /// A bundle as Docker would make it; [`None`] where it cannot be run.
    pub(crate) fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return None;
        }
        let Some(busybox) = busybox() else {
            eprintln!("SKIPPED: needs a static busybox (apt-get install busybox-static)");
            return None;
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = tempfile::Builder::new()
            .prefix("mini-test-")
            .tempdir()
            .unwrap();
        // A program with another user must get through to the root file system.
        set_mode(directory.path(), 0o755);
        let bin = directory.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        // By another process: what this one has open for writing, a test that forks at this moment would keep busy.
        let status = Command::new("cp")
            .arg(&busybox)
            .arg(bin.join("busybox"))
            .status();
        assert!(status.unwrap().success());
        let applets = Command::new(&busybox).arg("--list").output().unwrap();
        for applet in String::from_utf8(applets.stdout).unwrap().lines() {
            if applet != "busybox" {
                std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
            }
        }
        for name in ["dev", "etc", "proc", "sys", "tmp"] {
            std::fs::create_dir(directory.path().join("rootfs").join(name)).unwrap();
        }
        let id = format!("t{}-{number}", std::process::id());
        let mut config: Value = serde_json::from_str(DOCKER).unwrap();
        config["linux"]["resources"] = json!({"devices": config["linux"]["resources"]["devices"]});
        Some(Self {
            id,
            config,
            directory,
        })
    }

    /// The same with a shell script as its program.
    pub(crate) fn shell(script: &str) -> Option<Self> {
        let mut bundle = Self::new()?;
        bundle.set_script(script);
        Some(bundle)
    }

    pub(crate) fn set_script(&mut self, script: &str) {
        self.config["process"]["args"] = json!(["/bin/sh", "-c", script]);
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    pub(crate) fn state_root(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Adds to a list of the configuration.
    pub(crate) fn push(&mut self, pointer: &str, value: Value) {
        self.config
            .pointer_mut(pointer)
            .and_then(Value::as_array_mut)
            .unwrap_or_else(|| panic!("no list at {pointer}"))
            .push(value);
    }

    pub(crate) fn write(&self) {
        let json = serde_json::to_vec_pretty(&self.config).unwrap();
        std::fs::write(self.path().join("config.json"), json).unwrap();
    }

    /// `mini` with its own state directory, input from nowhere.
    pub(crate) fn mini(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini"));
        command
            .arg("--root")
            .arg(self.state_root())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A verb on this container, to its end.
    pub(crate) fn verb(&self, verb: &str, flags: &[&str], words: &[&str]) -> Outcome {
        let mut arguments = vec![verb];
        arguments.extend_from_slice(flags);
        arguments.push(&self.id);
        arguments.extend_from_slice(words);
        finish(self.mini(&arguments).spawn().unwrap())
    }

    /// `mini run` to its end, then the check that nothing is left.
    pub(crate) fn run(&self) -> Outcome {
        let outcome = finish(self.start_run());
        self.assert_nothing_left();
        outcome
    }

    /// `mini run` in the background of the test.
    pub(crate) fn start_run(&self) -> Child {
        self.write();
        let bundle = self.path().to_str().unwrap();
        self.mini(&["run", "--bundle", bundle, &self.id])
            .spawn()
            .unwrap()
    }

    /// `mini create`.
    pub(crate) fn create(&self) -> Outcome {
        self.write();
        let bundle = self.path().to_str().unwrap().to_owned();
        self.create_with(&["--bundle", &bundle])
    }

    pub(crate) fn create_with(&self, flags: &[&str]) -> Outcome {
        let mut arguments = vec!["create"];
        arguments.extend_from_slice(flags);
        arguments.push(&self.id);
        let mut command = self.mini(&arguments);
        // The program inherits these: a pipe would not end with `create`.
        command.stdout(std::fs::File::create(self.path().join("stdout")).unwrap());
        command.stderr(std::fs::File::create(self.path().join("stderr")).unwrap());
        let mut outcome = finish(command.spawn().unwrap());
        outcome.error = std::fs::read_to_string(self.path().join("stderr")).unwrap();
        outcome
    }

    /// `mini create` and `mini start` of a container that stays.
    pub(crate) fn start_detached(&self) {
        self.create().success();
        self.verb("start", &[], &[]).success();
    }

    /// What the detached container has written to its standard output so far.
    pub(crate) fn detached_output(&self) -> String {
        std::fs::read_to_string(self.path().join("stdout")).unwrap()
    }

    /// Ends and removes a detached container, then checks that nothing is left.
    pub(crate) fn delete(&self) {
        self.verb("delete", &["--force"], &[]).success();
        self.assert_nothing_left();
    }

    /// `mini state`.
    pub(crate) fn state(&self) -> Value {
        let outcome = self.verb("state", &[], &[]);
        serde_json::from_str(&outcome.success()).unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.state()["pid"].as_i64().unwrap()).unwrap()
    }

    /// The container's directory in each mounted hierarchy, whether it is there or not.
    pub(crate) fn cgroup_directories(&self) -> Vec<PathBuf> {
        Layout::detect()
            .unwrap()
            .hierarchies()
            .iter()
            .map(|hierarchy| hierarchy.directory(&format!("/{}", self.id)))
            .collect()
    }

    /// No cgroup, mount, process or file of this container.
    pub(crate) fn assert_nothing_left(&self) {
        for directory in self.cgroup_directories() {
            assert!(!directory.exists(), "{} is left", directory.display());
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let path = self.path().to_str().unwrap();
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(path)).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
        let gone = becomes(DEADLINE, || self.processes().is_empty());
        assert!(gone, "processes are left: {:?}", self.processes());
        let states: Vec<_> = std::fs::read_dir(self.state_root())
            .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
            .unwrap_or_default();
        assert!(states.is_empty(), "state is left: {states:?}");
    }

    /// Processes that have the root file system as theirs, or name the container.
    fn processes(&self) -> Vec<String> {
        let rootfs = self.rootfs();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let same_root = || {
                let own = std::fs::metadata(entry.path().join("root/.")).ok()?;
                let ours = std::fs::metadata(&rootfs).ok()?;
                use std::os::unix::fs::MetadataExt as _;
                Some((own.dev(), own.ino()) == (ours.dev(), ours.ino()))
            };
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            if command.contains(&self.id) || same_root() == Some(true) {
                found.push(format!("{name} {command}"));
            }
        }
        found
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        // A test that went wrong must not leave the machine a container.
        if std::thread::panicking() {
            drop(self.mini(&["delete", "--force", &self.id]).output());
        }
    }
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) output: String,
    pub(crate) error: String,
}

impl Outcome {
    /// The output of a command that must have ended well.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.output
    }

    #[track_caller]
    pub(crate) fn assert_error(&self, status: i32, words: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.error.contains(words), "{words:?} is not in {self:?}");
    }
}

/// Waits for a command, and kills it when it takes too long.
#[track_caller]
pub(crate) fn finish(child: Child) -> Outcome {
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || drop(sender.send(child.wait_with_output())));
    let Ok(output) = receiver.recv_timeout(DEADLINE) else {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        panic!("the command did not end within {DEADLINE:?}");
    };
    let output: Output = output.unwrap();
    use std::os::unix::process::ExitStatusExt as _;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome {
        status: output
            .status
            .code()
            .unwrap_or_else(|| -output.status.signal().unwrap()),
        output: text(output.stdout),
        error: text(output.stderr),
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(
        becomes(DEADLINE, condition),
        "not within {DEADLINE:?}: {what}"
    );
}

/// Waits until something is so, or the time is over.
pub(crate) fn becomes(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| is_static(path))
}

/// A program without an interpreter: its ELF header has no `PT_INTERP`.
fn is_static(path: &Path) -> bool {
    let Ok(bytes) = std::fs::read(path) else {
        return false;
    };
    !bytes
        .get(..4096.min(bytes.len()))
        .unwrap_or_default()
        .windows(8)
        .any(|window| window == b"/ld-linu" || window == b"ld-linux")
}

/// The value behind a key of `/proc/PID/status`.
#[track_caller]
pub(crate) fn status_field<'a>(status: &'a str, key: &str) -> &'a str {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {key} in {status}"))
        .trim()
}
