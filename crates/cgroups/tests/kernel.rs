//! This crate against the real kernel, on whatever cgroup layout the machine has. Needs root.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test")]

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cgroups::stats::Detail;
use cgroups::{
    Cgroup, Controller, DeviceAccess, DeviceRule, DeviceType, Features, Layout, Resources,
    StatsReader,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const PATIENCE: Duration = Duration::from_secs(10);

/// A cgroup of our own that is gone at the end, whatever happens.
struct Own {
    layout: Layout,
    cgroup: Cgroup,
    parent: String,
}

impl Own {
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: needs root");
            return None;
        }
        let layout = Layout::detect().unwrap();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let parent = format!("/cgroups-test-{}-{number}", std::process::id());
        let cgroup = Cgroup::create(&layout, &format!("{parent}/one")).unwrap();
        Some(Self {
            layout,
            cgroup,
            parent,
        })
    }

    /// A shell that runs `script` once it is in the cgroup.
    fn shell(&self, script: &str) -> Child {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.cgroup.add_process(child.id()).unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"\n").unwrap();
        child
    }

    fn is(&self, controller: Controller, file_v1: &str, file_v2: &str) -> String {
        let directory = self.cgroup.directory_of(controller).unwrap();
        let file = if directory.v2 { file_v2 } else { file_v1 };
        let content = std::fs::read_to_string(directory.path.join(file)).unwrap();
        content.trim().to_owned()
    }

    fn is_v2(&self, controller: Controller) -> bool {
        self.cgroup.directory_of(controller).unwrap().v2
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let killed = self.cgroup.kill_all(PATIENCE);
        let removed = self.cgroup.remove(PATIENCE);
        let parent = Cgroup::open(&self.layout, &self.parent).unwrap();
        let parent_removed = parent.remove(PATIENCE);
        if !std::thread::panicking() {
            killed.unwrap();
            removed.unwrap();
            parent_removed.unwrap();
            assert!(Cgroup::open(&self.layout, &self.parent).is_err());
        }
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn kernel_a_process_is_in_every_hierarchy() {
    let Some(own) = Own::new() else { return };
    let mut child = own.shell("sleep 100");
    assert!(own.cgroup.processes().unwrap().contains(&child.id()));
    let found = Cgroup::of_process(&own.layout, child.id()).unwrap();
    assert_eq!(found.path(), own.cgroup.path());
    assert_eq!(found.directories().len(), own.layout.hierarchies().len());
    for directory in found.directories() {
        let path = own.cgroup.path().trim_start_matches('/');
        assert!(directory.path.ends_with(path));
    }
    let parent = Cgroup::open(&own.layout, &own.parent).unwrap();
    assert_eq!(parent.children().unwrap(), ["one"]);
    own.cgroup.kill_all(PATIENCE).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn kernel_creating_twice_is_fine_and_opening_what_is_not_there_is_not() {
    let Some(own) = Own::new() else { return };
    Cgroup::create(&own.layout, own.cgroup.path()).unwrap();
    let error = Cgroup::open(&own.layout, &format!("{}/two", own.parent)).unwrap_err();
    assert!(matches!(error, cgroups::Error::NotFound { .. }), "{error}");
}

#[test]
fn kernel_memory_limits_are_set_raised_and_lowered() {
    let Some(own) = Own::new() else { return };
    let set = |limit: i64, both: Option<i64>| {
        let mut resources = Resources::default();
        resources.memory.limit_bytes = Some(limit);
        resources.memory.limit_with_swap_bytes = both;
        own.cgroup.apply(&resources)
    };
    let limit = || own.is(Controller::Memory, "memory.limit_in_bytes", "memory.max");
    let v2 = own.is_v2(Controller::Memory);
    let swap = Features::of(&own.layout, &own.cgroup).has("swap_limit");
    let both = |bytes: i64| swap.then_some(bytes);
    set(32 << 20, both(32 << 20)).unwrap();
    assert_eq!(limit(), (32 << 20).to_string());
    set(64 << 20, both(96 << 20)).unwrap();
    assert_eq!(limit(), (64 << 20).to_string());
    if swap {
        let files = ("memory.memsw.limit_in_bytes", "memory.swap.max");
        let expected: i64 = if v2 { 32 << 20 } else { 96 << 20 };
        assert_eq!(
            own.is(Controller::Memory, files.0, files.1),
            expected.to_string()
        );
    }
    set(16 << 20, both(16 << 20)).unwrap();
    assert_eq!(limit(), (16 << 20).to_string());
    set(-1, both(-1)).unwrap();
    assert_eq!(own.cgroup.stats().unwrap().memory.limit_bytes, None);
    let error = set(64 << 20, Some(32 << 20)).unwrap_err();
    assert!(error.is_invalid_request(), "{error}");
}

#[test]
fn kernel_cpu_quota_is_set_and_a_bad_one_is_explained() {
    let Some(own) = Own::new() else { return };
    let mut resources = Resources::default();
    resources.cpu.shares = Some(512);
    resources.cpu.quota_us = Some(50_000);
    resources.cpu.period_us = Some(100_000);
    own.cgroup.apply(&resources).unwrap();
    let v2 = own.is_v2(Controller::Cpu);
    if v2 {
        assert_eq!(own.is(Controller::Cpu, "", "cpu.max"), "50000 100000");
    } else {
        assert_eq!(own.is(Controller::Cpu, "cpu.cfs_quota_us", ""), "50000");
        assert_eq!(own.is(Controller::Cpu, "cpu.shares", ""), "512");
    }
    // Only the period: the quota stays.
    let mut period = Resources::default();
    period.cpu.period_us = Some(200_000);
    own.cgroup.apply(&period).unwrap();
    if v2 {
        assert_eq!(own.is(Controller::Cpu, "", "cpu.max"), "50000 200000");
    }
    resources.cpu.quota_us = Some(10);
    let error = own.cgroup.apply(&resources).unwrap_err();
    assert!(error.is_invalid_request());
    assert!(error.hint().unwrap().contains("1 ms"), "{error}");
    assert!(error.to_string().contains("invalid argument"), "{error}");
}

#[test]
fn kernel_cpuset_is_narrowed_and_an_unknown_cpu_is_explained() {
    let Some(own) = Own::new() else { return };
    let mut resources = Resources::default();
    resources.cpu.cpus = Some("0".into());
    own.cgroup.apply(&resources).unwrap();
    let now = own.is(Controller::Cpuset, "cpuset.cpus", "cpuset.cpus");
    assert_eq!(now, "0");
    if !own.is_v2(Controller::Cpuset) {
        resources.cpu.cpus = Some("4000".into());
        let error = own.cgroup.apply(&resources).unwrap_err();
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn kernel_pids_limit_stops_forks() {
    let Some(own) = Own::new() else { return };
    let resources = Resources {
        pids: Some(4),
        ..Resources::default()
    };
    own.cgroup.apply(&resources).unwrap();
    let mut child = own.shell("for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; wait");
    until("the limit is reached", || {
        own.cgroup.stats().unwrap().pids.current == Some(4)
    });
    assert_eq!(own.cgroup.stats().unwrap().pids.limit, Some(4));
    own.cgroup.kill_all(PATIENCE).unwrap();
    child.wait().unwrap();
}

#[test]
fn kernel_running_out_of_memory_is_told_and_counted() {
    let Some(own) = Own::new() else { return };
    let mut resources = Resources::default();
    resources.memory.limit_bytes = Some(16 << 20);
    if Features::of(&own.layout, &own.cgroup).has("swap_limit") {
        resources.memory.limit_with_swap_bytes = Some(16 << 20);
    }
    own.cgroup.apply(&resources).unwrap();
    let watch = own.cgroup.watch_oom().unwrap();
    let readable = |seconds| {
        let fd = watch.as_fd();
        let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        let timeout = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        poll(&mut polled, Some(&timeout)).unwrap() == 1
    };
    watch.drain().unwrap();
    assert!(!readable(0));
    assert_eq!(watch.kills_total(), 0);
    let mut child = own.shell("exec dd if=/dev/zero of=/dev/null bs=64M count=2");
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(readable(10));
    until("the kill is counted", || watch.kills_total() == 1);
    assert_eq!(own.cgroup.oom_kills_total().unwrap(), 1);
    watch.drain().unwrap();
    assert!(!readable(0));
}

#[test]
fn kernel_frozen_processes_stand_still_and_can_be_killed() {
    let Some(own) = Own::new() else { return };
    let mut child = own.shell("while :; do :; done");
    let usage = || own.cgroup.stats().unwrap().cpu.usage_ns_total.unwrap();
    until("it burns CPU", || usage() > 10_000_000);
    own.cgroup.freeze().unwrap();
    assert!(own.cgroup.is_frozen().unwrap());
    let before = usage();
    std::thread::sleep(Duration::from_millis(50));
    assert!(usage() - before < 5_000_000, "still running");
    own.cgroup.thaw().unwrap();
    assert!(!own.cgroup.is_frozen().unwrap());
    let before = usage();
    until("it burns again", || usage() > before + 10_000_000);
    own.cgroup.freeze().unwrap();
    own.cgroup.kill_all(PATIENCE).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn kernel_only_allowed_devices_can_be_opened() {
    let Some(own) = Own::new() else { return };
    let deny = DeviceRule {
        allow: false,
        kind: DeviceType::All,
        major: None,
        minor: None,
        access: DeviceAccess::ALL,
    };
    let null = DeviceRule {
        allow: true,
        kind: DeviceType::Char,
        major: Some(1),
        minor: Some(3),
        access: DeviceAccess::from_letters("rw").unwrap(),
    };
    // Twice: setting anew replaces, it does not pile up.
    own.cgroup.set_devices(&[deny]).unwrap();
    own.cgroup.set_devices(&[deny, null]).unwrap();
    let child =
        own.shell("echo x >/dev/null && echo null; head -c 1 /dev/zero >/dev/null && echo zero");
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\n");
}

#[test]
fn kernel_figures_rise_and_end_with_the_cgroup() {
    let Some(own) = Own::new() else { return };
    let mut reader = StatsReader::open(&own.cgroup, Detail::Live);
    assert!(reader.open_files() >= 5);
    let mut sparing = StatsReader::open_sparingly(&own.cgroup, Detail::Live);
    assert_eq!(sparing.open_files(), 0);
    let before = reader.read().unwrap();
    // Memory that was charged before it moved here stays where it was: it takes some more.
    let mut child = own.shell(
        "x=$(head -c 4000000 /dev/zero | tr '\\0' a); i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 100",
    );
    until("CPU time and processes are counted", || {
        let now = reader.read().unwrap();
        now.cpu.usage_ns_total > before.cpu.usage_ns_total
            && now.pids.current > before.pids.current
            && now.memory.usage_bytes > Some(1 << 20)
    });
    assert_eq!(
        sparing.read().unwrap().pids.limit,
        reader.read().unwrap().pids.limit
    );
    let full = own.cgroup.stats().unwrap();
    assert!(full.memory.usage_bytes.unwrap() > 0);
    assert!(full.memory.stat.len() > 10);
    assert!(full.cpu.user_ns_total.is_some());
    own.cgroup.kill_all(PATIENCE).unwrap();
    child.wait().unwrap();
    own.cgroup.remove(PATIENCE).unwrap();
    assert!(reader.read().is_err());
    assert!(sparing.read().is_err());
}

#[test]
fn kernel_nested_cgroups_are_removed_with_it() {
    let Some(own) = Own::new() else { return };
    for directory in own.cgroup.directories() {
        std::fs::create_dir_all(directory.path.join("inner/most")).unwrap();
    }
    own.cgroup.remove(PATIENCE).unwrap();
    assert!(Cgroup::open(&own.layout, own.cgroup.path()).is_err());
}

#[test]
fn kernel_an_occupied_cgroup_is_not_removed() {
    let Some(own) = Own::new() else { return };
    let mut child = own.shell("sleep 100");
    let error = own.cgroup.remove(Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, cgroups::Error::Busy { .. }), "{error}");
    own.cgroup.kill_all(PATIENCE).unwrap();
    child.wait().unwrap();
}

#[test]
fn kernel_features_name_what_is_missing() {
    let Some(own) = Own::new() else { return };
    let features = Features::probe(&own.layout, &own.parent).unwrap();
    assert!(features.has("memory_limit"));
    assert!(features.has("pids_limit"));
    for feature in &features.all {
        assert_eq!(feature.available, feature.reason.is_empty(), "{feature:?}");
        println!("{feature:?}");
    }
}

#[test]
fn kernel_a_unified_setting_reaches_v2_or_is_refused() {
    let Some(own) = Own::new() else { return };
    let unified = |name: &str, value: &str| {
        let mut resources = Resources::default();
        resources.unified.insert(name.into(), value.into());
        own.cgroup.apply(&resources)
    };
    if own.cgroup.v2_directory().is_some() {
        unified("cgroup.max.depth", "3").unwrap();
    }
    let error = unified("nonsense.max", "1").unwrap_err();
    assert!(error.hint().is_some(), "{error}");
    assert!(unified("../x", "1").is_err());
}

#[test]
fn kernel_a_v2_cgroup_that_holds_processes_gets_no_children_with_controllers() {
    let Some(own) = Own::new() else { return };
    if own.layout.v2().is_none_or(|v2| v2.controllers.is_empty()) {
        eprintln!("SKIPPED: no controller on v2");
        return;
    }
    let mut child = own.shell("sleep 100");
    let below = format!("{}/below", own.cgroup.path());
    let error = Cgroup::create(&own.layout, &below).unwrap_err();
    assert!(
        error.to_string().contains("cgroup.subtree_control"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("holds processes itself"));
    assert!(Cgroup::open(&own.layout, &below).is_err(), "half-made");
    own.cgroup.kill_all(PATIENCE).unwrap();
    child.wait().unwrap();
}

#[test]
fn kernel_a_limit_without_its_controller_is_refused_by_name() {
    let Some(own) = Own::new() else { return };
    // As if only the pids controller were there.
    let mut pids = own.layout.of(Controller::Pids).unwrap().clone();
    pids.controllers = vec![Controller::Pids];
    let layout = Layout::from_hierarchies(vec![pids]).unwrap();
    let cgroup = Cgroup::open(&layout, own.cgroup.path()).unwrap();
    let mut resources = Resources {
        pids: Some(5),
        ..Resources::default()
    };
    if !own.is_v2(Controller::Pids) {
        cgroup.apply(&resources).unwrap();
        resources.memory.limit_bytes = Some(1 << 20);
        let error = cgroup.apply(&resources).unwrap_err();
        assert!(error.is_invalid_request());
        assert!(
            error
                .to_string()
                .contains("cgroup controller `memory` is not mounted"),
            "{error}"
        );
        assert!(error.hint().is_some());
    }
}

#[test]
fn kernel_a_refused_update_changes_nothing() {
    let Some(own) = Own::new() else { return };
    let mut resources = Resources {
        pids: Some(50),
        ..Resources::default()
    };
    resources.memory.limit_bytes = Some(64 << 20);
    resources.cpu.shares = Some(512);
    resources.cpu.quota_us = Some(50_000);
    resources.cpu.period_us = Some(100_000);
    own.cgroup.apply(&resources).unwrap();
    let files = |controller, v1: &'static [&'static str], v2: &'static [&'static str]| {
        let directory = own.cgroup.directory_of(controller).unwrap();
        let names = if directory.v2 { v2 } else { v1 };
        names
            .iter()
            .map(|name| std::fs::read_to_string(directory.path.join(name)).unwrap())
            .collect::<Vec<_>>()
    };
    let now = || {
        [
            files(
                Controller::Cpu,
                &["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"],
                &["cpu.weight", "cpu.max"],
            ),
            files(
                Controller::Memory,
                &["memory.limit_in_bytes"],
                &["memory.max"],
            ),
            files(Controller::Pids, &["pids.max"], &["pids.max"]),
        ]
    };
    let before = now();
    resources.cpu.shares = Some(2048);
    resources.cpu.quota_us = Some(20_000);
    resources.cpu.period_us = Some(200_000);
    resources.memory.limit_bytes = Some(128 << 20);
    resources.pids = Some(60);
    // The last that is written, and the kernel does not know it.
    resources
        .unified
        .insert("cgroup.max.depth".into(), "nonsense".into());
    let error = own.cgroup.update(&resources, None).unwrap_err();
    assert!(error.is_invalid_request(), "{error}");
    assert_eq!(now(), before);
    resources.unified.clear();
    own.cgroup.update(&resources, None).unwrap();
    assert_ne!(now(), before);
}

#[test]
fn kernel_a_quota_and_its_period_go_where_the_parent_allows_in_any_order() {
    let Some(own) = Own::new() else { return };
    let parent = Cgroup::open(&own.layout, &own.parent).unwrap();
    let set = |cgroup: &Cgroup, quota, period| {
        let mut resources = Resources::default();
        resources.cpu.quota_us = Some(quota);
        resources.cpu.period_us = period;
        cgroup.apply(&resources)
    };
    set(&parent, 50_000, None).unwrap();
    let v2 = own.is_v2(Controller::Cpu);
    // v1 lets no child have more than its parent; v2 does, and gives it no more.
    assert_eq!(set(&own.cgroup, 60_000, None).is_err(), !v2);
    set(&own.cgroup, 3_000, Some(10_000)).unwrap();
    set(&own.cgroup, 50_000, Some(100_000)).unwrap();
    set(&own.cgroup, 3_000, Some(10_000)).unwrap();
    if v2 {
        assert_eq!(own.is(Controller::Cpu, "", "cpu.max"), "3000 10000");
    } else {
        assert_eq!(own.is(Controller::Cpu, "cpu.cfs_quota_us", ""), "3000");
        assert_eq!(own.is(Controller::Cpu, "cpu.cfs_period_us", ""), "10000");
    }
}

#[test]
fn kernel_device_rules_of_v2_are_replaced_and_hold() {
    let Some(own) = Own::new() else { return };
    let Some(v2) = own.layout.v2() else {
        assert!(own.cgroup.clone_fd().unwrap().is_none());
        return;
    };
    // As if there were no v1 devices hierarchy: the program decides.
    let layout = Layout::from_hierarchies(vec![v2.clone()]).unwrap();
    let cgroup = Cgroup::open(&layout, own.cgroup.path()).unwrap();
    let rule = |allow, minor, access| DeviceRule {
        allow,
        kind: DeviceType::Char,
        major: Some(1),
        minor: Some(minor),
        access: DeviceAccess::from_letters(access).unwrap(),
    };
    let programs = || {
        sys::bpf::device_programs(cgroup.clone_fd().unwrap().unwrap().as_fd())
            .unwrap()
            .len()
    };
    cgroup
        .set_devices(&[rule(true, 3, "rwm"), rule(true, 5, "r")])
        .unwrap();
    assert_eq!(programs(), 1);
    let probe = "echo x >/dev/null && echo null; head -c 1 </dev/zero >/dev/null && echo zero; \
         head -c 1 </dev/urandom >/dev/null && echo random";
    let output = own.shell(probe).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\nzero\n");
    // The same again, in another order, then less.
    cgroup
        .set_devices(&[rule(true, 3, "rwm"), rule(true, 5, "r")])
        .unwrap();
    cgroup.set_devices(&[rule(true, 3, "rwm")]).unwrap();
    assert_eq!(programs(), 1);
    let output = own.shell(probe).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\n");
}

#[test]
fn kernel_a_new_container_gets_no_cgroup_with_others_in_it_nor_a_frozen_one() {
    let Some(own) = Own::new() else { return };
    let path = own.cgroup.path().to_owned();
    Cgroup::create_empty(&own.layout, &path).unwrap();
    let mut child = own.shell("sleep 100");
    let error = Cgroup::create_empty(&own.layout, &path).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("container's cgroup is not empty: 1 process(es) found"),
        "{text}"
    );
    assert!(error.is_invalid_request());
    own.cgroup.kill_all(PATIENCE).unwrap();
    child.wait().unwrap();
    own.cgroup.freeze().unwrap();
    let error = Cgroup::create_empty(&own.layout, &path).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("container's cgroup unexpectedly frozen"),
        "{error}"
    );
    own.cgroup.thaw().unwrap();
    // What was there is there still.
    for directory in own.cgroup.directories() {
        assert!(directory.path.is_dir());
    }
    Cgroup::create_empty(&own.layout, &path).unwrap();
}

#[test]
fn kernel_a_refused_create_leaves_none_of_the_parents_it_made() {
    let Some(own) = Own::new() else { return };
    let Some(v2) = own.layout.v2() else {
        assert_eq!(own.layout.mode(), cgroups::layout::Mode::V1);
        return;
    };
    // The kernel takes no more than this below it, and v1 knows no such limit.
    let file = own.cgroup.v2_directory().unwrap().join("cgroup.max.depth");
    std::fs::write(file, "1").unwrap();
    let path = format!("{}/a/b", own.cgroup.path());
    let error = Cgroup::create(&own.layout, &path).unwrap_err();
    assert!(
        error.hint().unwrap().contains("cgroup.max.depth"),
        "{error}"
    );
    for hierarchy in own.layout.hierarchies() {
        assert!(
            !hierarchy
                .directory(&format!("{}/a", own.cgroup.path()))
                .exists()
        );
    }
    assert!(v2.directory(own.cgroup.path()).exists());
}

#[test]
fn kernel_a_cpuset_below_empty_ones_is_filled() {
    let Some(own) = Own::new() else { return };
    let directory = own.cgroup.directory_of(Controller::Cpuset).unwrap();
    if !directory.v2 {
        std::fs::write(directory.path.join("cgroup.clone_children"), "0").unwrap();
    }
    // As someone else would leave them.
    std::fs::create_dir_all(directory.path.join("x/y")).unwrap();
    let below = Cgroup::create(&own.layout, &format!("{}/x/y/z", own.cgroup.path())).unwrap();
    if directory.v2 {
        assert!(below.directory_of(Controller::Cpuset).unwrap().v2);
    } else {
        let file = directory.path.join("x/y/z/cpuset.cpus");
        assert!(!std::fs::read_to_string(file).unwrap().trim().is_empty());
    }
    let mut child = Command::new("sleep").arg("100").spawn().unwrap();
    below.add_process(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn kernel_a_cgroup_in_thread_mode_is_refused_by_that_name() {
    let Some(own) = Own::new() else { return };
    let Some(v2) = own.layout.v2() else {
        assert_eq!(own.layout.mode(), cgroups::layout::Mode::V1);
        return;
    };
    let directory = v2.directory(own.cgroup.path());
    std::fs::create_dir(directory.join("threads")).unwrap();
    std::fs::write(directory.join("threads/cgroup.type"), "threaded").unwrap();
    let path = format!("{}/threads/below", own.cgroup.path());
    let created = Cgroup::create(&own.layout, &path);
    // Without any controller there is nothing that thread mode would forbid before a process comes.
    if v2.controllers.is_empty() {
        created.unwrap();
        return;
    }
    let error = created.unwrap_err();
    let text = format!("{error} {}", error.hint().unwrap_or_default());
    assert!(text.contains("thread mode"), "{text}");
    assert!(!directory.join("threads/below").exists(), "half-made");
}
