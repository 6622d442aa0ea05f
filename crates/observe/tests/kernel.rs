//! Looking into processes that are set apart as a container is. Needs root and `unshare` of util-linux.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cgroups::{Cgroup, Layout, Resources};
use observe::inside::{KnobKind, NamespaceKind};
use observe::{Inside, ObserveError, Sampler};

const PATIENCE: Duration = Duration::from_secs(10);

/// A shell with namespaces and a cgroup of its own.
struct Boxed {
    cgroup: Cgroup,
    parent: Cgroup,
    unshare: Child,
    /// The shell, as the host sees it.
    pid: u32,
}

impl Boxed {
    fn new(name: &str, flags: &[&str], resources: &Resources) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return None;
        }
        let layout = Layout::detect().unwrap();
        let parent_path = format!("/observe-test-{}-{name}", std::process::id());
        let cgroup = Cgroup::create(&layout, &format!("{parent_path}/one")).unwrap();
        let parent = Cgroup::open(&layout, &parent_path).unwrap();
        cgroup.apply(resources).unwrap();
        // It enters its cgroup before it makes namespaces, so that the cgroup namespace begins there.
        let mut unshare = Command::new("sh")
            .args([
                "-c",
                "read go; exec unshare \"$@\" sh -c 'echo ready; sleep 100; :'",
                "sh",
            ])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cgroup.add_process(unshare.id()).unwrap();
        std::io::Write::write_all(&mut unshare.stdin.take().unwrap(), b"\n").unwrap();
        let mut line = String::new();
        BufReader::new(unshare.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        let id = unshare.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let pid = children.split(' ').next().unwrap().parse().unwrap();
        Some(Self {
            cgroup,
            parent,
            unshare,
            pid,
        })
    }

    fn end(&mut self) {
        self.cgroup.kill_all(PATIENCE).unwrap();
        self.unshare.wait().unwrap();
        self.cgroup.remove(PATIENCE).unwrap();
        self.parent.remove(PATIENCE).unwrap();
    }
}

impl Drop for Boxed {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_shared(inside: &Inside, kind: NamespaceKind) -> bool {
    let found = inside.namespaces.iter().find(|found| found.kind == kind);
    found.unwrap().shared_with_host.unwrap()
}

#[test]
fn kernel_what_is_its_own_and_what_is_shared_is_told_apart() {
    let flags = ["--fork", "--pid", "--mount-proc", "--net", "--uts", "--ipc"];
    let mut resources = Resources {
        pids: Some(17),
        ..Resources::default()
    };
    resources.memory.limit_bytes = Some(64 << 20);
    resources.cpu.quota_us = Some(50_000);
    let Some(boxed) = Boxed::new("apart", &flags, &resources) else {
        return;
    };
    let inside = observe::inside(boxed.pid).unwrap();
    for kind in [
        NamespaceKind::Pid,
        NamespaceKind::Mount,
        NamespaceKind::Network,
        NamespaceKind::Uts,
        NamespaceKind::Ipc,
    ] {
        assert!(!is_shared(&inside, kind), "{kind:?}");
    }
    assert!(is_shared(&inside, NamespaceKind::User));
    assert!(is_shared(&inside, NamespaceKind::Cgroup));
    let limit = |kind| {
        let knob = inside.knobs.iter().find(|knob| knob.kind == kind);
        knob.unwrap().limit.value
    };
    assert_eq!(limit(KnobKind::MemoryLimit), Some(64 << 20));
    assert_eq!(limit(KnobKind::CpuQuota), Some(50));
    assert_eq!(limit(KnobKind::PidsLimit), Some(17));
    let processes = inside.processes.value.unwrap();
    let shell = processes.iter().find(|it| it.pid == boxed.pid).unwrap();
    assert_eq!(shell.inner_pid, Some(1));
    assert!(shell.command.starts_with("sh -c echo ready"));
    // unshare itself and the shell, perhaps its sleep already.
    assert!(processes.len() >= 2);
    assert!(inside.interfaces.value.unwrap().is_empty());
    let paths = inside.cgroups.value.unwrap();
    assert!(paths.iter().all(|path| path.directory.ends_with("/one")));
    assert!(!inside.capabilities.value.unwrap().effective.is_empty());
    for fact in [&inside.mounts.file, &inside.seccomp.file] {
        assert!(std::path::Path::new(fact).exists(), "{fact}");
    }
}

#[test]
fn kernel_a_container_is_sampled_until_it_is_gone() {
    let Some(mut boxed) = Boxed::new("sample", &["--fork", "--net"], &Resources::default()) else {
        return;
    };
    let mut sampler = Sampler::new().unwrap();
    sampler.watch("a", boxed.pid).unwrap();
    sampler.watch("a", boxed.pid).unwrap();
    assert_eq!(sampler.watched(), 1);
    let figures = sampler.sample("a").unwrap();
    assert!(figures.pids >= Some(2));
    assert!(figures.memory_usage_bytes.unwrap() > 0);
    assert!(figures.cpu_ns_total.unwrap() > 0);
    assert!(!figures.shares_host_network);
    boxed.cgroup.kill_all(PATIENCE).unwrap();
    boxed.unshare.wait().unwrap();
    boxed.cgroup.remove(PATIENCE).unwrap();
    let all = sampler.sample_all();
    assert!(matches!(all[0].1, Err(ObserveError::Gone { .. })));
    assert_eq!(sampler.watched(), 0);
    assert!(matches!(
        observe::inside(boxed.pid),
        Err(ObserveError::Gone { .. })
    ));
}

#[test]
fn kernel_the_root_cgroup_is_no_container() {
    let mut sampler = Sampler::new().unwrap();
    // Kernel threads are in the root of every hierarchy.
    if std::fs::read_to_string("/proc/2/cgroup")
        .is_ok_and(|text| text.lines().all(|line| line.ends_with(":/")))
    {
        assert!(matches!(
            sampler.watch("k", 2),
            Err(ObserveError::Unreadable { .. })
        ));
    } else {
        eprintln!("SKIPPED: no kernel threads to be seen");
    }
}

#[test]
fn kernel_a_listening_socket_is_found() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let inside = observe::inside(std::process::id()).unwrap();
    let sockets = inside.sockets.value.unwrap();
    assert!(
        sockets
            .iter()
            .any(|socket| socket.port == port && socket.address == "127.0.0.1")
    );
}
