//! `mini` cut off: killed at any system call or at any moment, refused any of the calls that matter, and many at once. Whatever is
//! half made, `delete --force` removes it whole; what is refused is an error that says so, and leaves nothing.
//!
//! A sample of the calls is taken here, another one each day (`MINI_FAULTS_SEED` repeats one); all of them by
//! `cargo test -p mini --test kernel -- --ignored faults`, which `make nightly` runs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use shim_protocol::{SHIM_CONFIG_FILE, SHIM_SOCKET_FILE, SHIM_STATE_FILE};

use crate::bundle::{Bundle, DEADLINE, becomes, finish};

/// Where a fault is put.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Create,
    Run,
    Start,
    Exec,
    Pause,
    Delete,
    Shim,
}

const VERBS: [Verb; 7] = [
    Verb::Create,
    Verb::Run,
    Verb::Start,
    Verb::Exec,
    Verb::Pause,
    Verb::Delete,
    Verb::Shim,
];

impl Verb {
    /// What must be there before.
    fn prepare(self, bundle: &Bundle) {
        match self {
            Self::Create | Self::Run => bundle.write(),
            Self::Shim => bundle.write_shim_config(),
            Self::Start => {
                bundle.create().success();
            }
            Self::Exec | Self::Pause | Self::Delete => bundle.start_detached(),
        }
    }

    fn arguments(self, bundle: &Bundle) -> Vec<String> {
        let path = bundle.path().to_str().unwrap();
        let root = bundle.state_root();
        let mut words = vec!["--root", root.to_str().unwrap()];
        match self {
            Self::Create => words.extend(["create", "--bundle", path, &bundle.id]),
            Self::Run => words.extend(["run", "--bundle", path, &bundle.id]),
            Self::Start => words.extend(["start", &bundle.id]),
            Self::Exec => words.extend(["exec", &bundle.id, "/bin/true"]),
            Self::Pause => words.extend(["pause", &bundle.id]),
            Self::Delete => words.extend(["delete", "--force", &bundle.id]),
            Self::Shim => words.extend(["shim", "--bundle", path]),
        }
        words.into_iter().map(str::to_owned).collect()
    }

    /// `mini` under strace with a fault, to its end; the processes that it leaves go on without a tracer.
    fn under_strace(self, bundle: &Bundle, options: &[&str]) {
        let errors = std::fs::File::create(bundle.path().join("stderr")).unwrap();
        let mut strace = Command::new("strace");
        // With -o it would ignore the signal that ends it.
        strace.args(["-f", "-qqq", "-I", "1"]).args(options);
        strace
            .arg(env!("CARGO_BIN_EXE_mini"))
            .args(self.arguments(bundle));
        strace
            .stdin(self.input())
            .stdout(std::fs::File::create(bundle.path().join("stdout")).unwrap())
            .stderr(errors);
        wait_for_tracee(strace.spawn().unwrap());
    }

    fn input(self) -> Stdio {
        match self {
            // The engine's end of the control connection is closed from the start: nobody is told.
            Self::Shim => {
                let (_, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                std::os::fd::OwnedFd::from(theirs).into()
            }
            _ => Stdio::null(),
        }
    }
}

/// Waits for the program under strace, not for what it leaves behind.
fn wait_for_tracee(mut strace: Child) {
    // strace has another child for a moment before, to see what the kernel can do.
    const LONG_ENOUGH: u32 = 60;
    // One look can miss a process.
    const CERTAIN: u32 = 4;
    let started = Instant::now();
    let pid = strace.id();
    let (mut seen, mut gone, mut alone) = (false, 0, 0);
    while strace.try_wait().unwrap().is_none() {
        let children = children_of(pid);
        let there = children
            .iter()
            .any(|command| !command.starts_with("strace"));
        alone = if children.is_empty() { alone + 1 } else { 0 };
        gone = if seen && !there { gone + 1 } else { 0 };
        if gone > CERTAIN || alone > LONG_ENOUGH {
            break;
        }
        // One that just ends has no arguments any more.
        seen |= children
            .iter()
            .any(|command| !command.is_empty() && !command.starts_with("strace"));
        assert!(started.elapsed() < DEADLINE, "it does not end under strace");
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid = rustix::process::Pid::from_child(&strace);
    // Its end may have come just now.
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
    let ended = becomes(DEADLINE, || strace.try_wait().unwrap().is_some());
    assert!(ended, "strace does not end");
}

/// The commands of a process's children that live.
fn children_of(parent: u32) -> Vec<String> {
    let parent = format!(" {parent} ");
    let child = |entry: std::fs::DirEntry| {
        let path = entry.path();
        let stat = std::fs::read_to_string(path.join("stat")).ok()?;
        // The state and the parent come behind the name.
        let (_, rest) = stat.rsplit_once(") ")?;
        if rest.starts_with('Z') || !rest.get(1..)?.starts_with(&parent) {
            return None;
        }
        let command = std::fs::read(path.join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).into_owned())
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(child).collect()
}

fn strace_is_here() -> bool {
    let here = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !here {
        eprintln!("SKIPPED: needs strace (apt-get install strace)");
    }
    here
}

/// How many system calls the process that makes most of them makes.
fn count(verb: Verb, bundle: &Bundle) -> usize {
    verb.prepare(bundle);
    let log = bundle.path().join("strace.log");
    verb.under_strace(bundle, &["-o", log.to_str().unwrap()]);
    delete(bundle, "without a fault");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let mut calls = std::collections::BTreeMap::new();
    for line in text.lines().filter(|line| !line.contains("resumed>")) {
        let pid = line.split(' ').next().unwrap().to_owned();
        *calls.entry(pid).or_insert(0) += 1;
    }
    calls.into_values().max().unwrap()
}

/// `delete --force`, then nothing may be left.
fn delete(bundle: &Bundle, after: &str) {
    let outcome = bundle.verb("delete", &["--force"], &[]);
    assert_eq!(outcome.status, 0, "after {after}: {outcome:?}");
    assert_nothing_left(bundle, after);
}

fn assert_nothing_left(bundle: &Bundle, after: &str) {
    // A shim whose container was taken away writes its record first.
    let ended = becomes(DEADLINE, || !names_the_bundle(bundle));
    assert!(ended, "after {after}: a process is left");
    let check = std::panic::AssertUnwindSafe(|| bundle.assert_nothing_left());
    if let Err(panic) = std::panic::catch_unwind(check) {
        eprintln!("after {after}");
        std::panic::resume_unwind(panic);
    }
    assert_no_files_left(bundle, after);
}

/// Whether a process lives that has the bundle's path among its arguments.
fn names_the_bundle(bundle: &Bundle) -> bool {
    let path = bundle.path().to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|command| String::from_utf8_lossy(&command).contains(path))
}

/// What is in the bundle's directory is the test's, or what the engine removes with it.
fn assert_no_files_left(bundle: &Bundle, after: &str) {
    let known = [
        "config.json",
        "rootfs",
        "state",
        "stdout",
        "stderr",
        "strace.log",
        SHIM_CONFIG_FILE,
        SHIM_SOCKET_FILE,
        SHIM_STATE_FILE,
        "shim-state.json.new",
        "container.log",
        "exit.json",
        "exit.json.new",
    ];
    for entry in std::fs::read_dir(bundle.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            known.contains(&name.as_str()),
            "after {after}: {name} is left"
        );
    }
}

/// Of a day, or as told.
fn seed() -> u64 {
    std::env::var("MINI_FAULTS_SEED").map_or_else(
        |_| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.unwrap().as_secs() / 86400
        },
        |seed| seed.parse().unwrap(),
    )
}

/// Numbers that look random; the same for the same seed. Source: Steele, Lea, Flood, SplitMix64.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// Kills `mini` and its children each at their own call of these numbers.
fn kill_at(verb: Verb, bundle: &Bundle, when: usize) {
    verb.prepare(bundle);
    let fault = format!("inject=all:signal=KILL:when={when}");
    verb.under_strace(bundle, &["-o", "/dev/null", "-e", &fault]);
    delete(
        bundle,
        &format!("{verb:?} killed at call {when}, seed {}", seed()),
    );
}

fn kill_some(verb: Verb, every: usize) {
    let Some(bundle) = Bundle::shell("sleep 0.05") else {
        return;
    };
    if !strace_is_here() {
        return;
    }
    let calls = count(verb, &bundle);
    assert!(calls > 40, "{verb:?} makes {calls} calls");
    let offset =
        usize::try_from(numbers(seed()).next().unwrap() % u64::try_from(every).unwrap()).unwrap();
    for when in (1 + offset..=calls).step_by(every) {
        kill_at(verb, &bundle, when);
    }
}

#[test]
fn kernel_a_create_killed_at_any_call_can_be_removed() {
    kill_some(Verb::Create, 41);
}

#[test]
fn kernel_a_run_killed_at_any_call_can_be_removed() {
    kill_some(Verb::Run, 43);
}

#[test]
fn kernel_a_start_killed_at_any_call_can_be_removed() {
    kill_some(Verb::Start, 37);
}

#[test]
fn kernel_an_exec_killed_at_any_call_can_be_removed() {
    kill_some(Verb::Exec, 53);
}

#[test]
fn kernel_a_pause_killed_at_any_call_can_be_removed() {
    kill_some(Verb::Pause, 59);
}

#[test]
fn kernel_a_delete_killed_at_any_call_can_be_done_again() {
    kill_some(Verb::Delete, 53);
}

#[test]
fn kernel_a_shim_killed_at_any_call_can_be_removed() {
    kill_some(Verb::Shim, 61);
}

#[test]
#[ignore = "takes minutes: `make nightly`"]
fn kernel_killed_at_every_call_it_can_be_removed() {
    for verb in VERBS {
        kill_some(verb, 1);
    }
}

/// A tracer changes what is slow and what is quick: the same without one, at random moments.
fn kill_at_moments(rounds: usize) {
    let Some(bundle) = Bundle::shell("sleep 0.05") else {
        return;
    };
    let mut numbers = numbers(seed());
    for round in 0..rounds {
        let verb = VERBS[round % VERBS.len()];
        verb.prepare(&bundle);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mini"));
        command
            .args(verb.arguments(&bundle))
            .stdin(verb.input())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let after = Duration::from_micros(numbers.next().unwrap() % 30_000);
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        delete(
            &bundle,
            &format!("{verb:?} killed after {after:?}, seed {}", seed()),
        );
    }
}

#[test]
fn kernel_killed_at_any_moment_it_can_be_removed() {
    kill_at_moments(35);
}

#[test]
#[ignore = "takes minutes: `make nightly`"]
fn kernel_killed_at_very_many_moments_it_can_be_removed() {
    kill_at_moments(2100);
}

#[test]
fn kernel_a_hundred_at_once_leave_nothing() {
    const COUNT: usize = 100;
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.write();
    let path = bundle.path().to_str().unwrap();
    // The ids begin with the bundle's, so that its check finds them all.
    let ids: Vec<String> = (0..COUNT)
        .map(|number| format!("{}-{number}", bundle.id))
        .collect();
    let all = |arguments: &dyn Fn(&str) -> Vec<String>| {
        let children: Vec<Child> = ids
            .iter()
            .map(|id| {
                let words = arguments(id);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let mut command = bundle.mini(&words);
                // The containers inherit these: pipes would not end with `create`.
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        for child in children {
            assert_eq!(finish(child).status, 0);
        }
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    all(&|id| words(&["create", "--bundle", path, id]));
    all(&|id| words(&["start", id]));
    let listed = finish(bundle.mini(&["list", "--quiet"]).spawn().unwrap()).success();
    assert_eq!(listed.lines().count(), COUNT);
    all(&|id| words(&["delete", "--force", id]));
    bundle.assert_nothing_left();
    for directory in bundle.cgroup_directories() {
        for id in &ids {
            let of_one = directory.with_file_name(format!("mini-{id}"));
            assert!(!of_one.exists(), "{} is left", of_one.display());
        }
    }
}

/// A call that the kernel refuses: `run` either goes another way and ends well, or says what was refused, and leaves nothing.
fn refuse(bundle: &Bundle, call: &str, errno: (&str, &str), when: usize) -> bool {
    let fault = format!("inject={call}:error={}:when={when}", errno.0);
    let trace = format!("trace={call}");
    let log = bundle.path().join("strace.log");
    let options = ["-o", log.to_str().unwrap(), "-e", &trace, "-e", &fault];
    Verb::Run.prepare(bundle);
    Verb::Run.under_strace(bundle, &options);
    let injected = std::fs::read_to_string(&log)
        .unwrap()
        .contains("(INJECTED)");
    let said = std::fs::read_to_string(bundle.path().join("stdout")).unwrap();
    let error = std::fs::read_to_string(bundle.path().join("stderr")).unwrap();
    let what = format!("{call} number {when} refused with {}: {error:?}", errno.0);
    if said == "ran\n" {
        assert!(!error.contains(errno.1), "{what}");
    } else {
        assert!(injected, "{what}");
        assert!(error.contains(errno.1), "{what}");
    }
    // Nothing to remove: a start that goes wrong does that itself.
    assert_nothing_left(bundle, &what);
    injected
}

fn refuse_some(every: usize) {
    let Some(mut bundle) = Bundle::shell("echo ran") else {
        return;
    };
    if !strace_is_here() {
        return;
    }
    bundle.config["process"]["rlimits"] =
        json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]);
    let perm = ("EPERM", "operation not permitted");
    let space = ("ENOSPC", "no space left on device");
    let memory = ("ENOMEM", "cannot allocate memory");
    let mut injected = 0;
    let mut offset = usize::try_from(seed() % u64::try_from(every).unwrap()).unwrap();
    for (call, errno) in [
        ("mount", perm),
        ("fsopen", perm),
        ("fsconfig", perm),
        ("fsmount", perm),
        ("open_tree", perm),
        ("move_mount", perm),
        ("mount_setattr", perm),
        ("pivot_root", perm),
        ("umount2", perm),
        ("clone3", memory),
        ("unshare", perm),
        ("setsid", perm),
        ("sethostname", perm),
        ("openat2", memory),
        ("mkdir", space),
        ("mkdirat", space),
        ("mknodat", space),
        ("symlinkat", space),
        ("socketpair", ("EMFILE", "too many open files")),
        ("rename", space),
        ("prctl", perm),
        ("capset", perm),
        ("setgroups", perm),
        ("setresuid", perm),
        ("setresgid", perm),
        ("chdir", perm),
        ("fchdir", perm),
        ("seccomp", perm),
    ] {
        for when in (1 + offset..200).step_by(every) {
            if !refuse(&bundle, call, errno, when) {
                break;
            }
            injected += 1;
        }
        offset = (offset + 1) % every;
    }
    assert!(injected > 5, "{injected}");
}

#[test]
fn kernel_a_refused_call_is_an_error_that_leaves_nothing() {
    refuse_some(9);
}

#[test]
#[ignore = "takes minutes: `make nightly`"]
fn kernel_every_refused_call_is_an_error_that_leaves_nothing() {
    refuse_some(1);
}

/// A disk that fills up while a container is made.
#[test]
fn kernel_a_full_disk_is_an_error_that_leaves_nothing() {
    let Some(bundle) = Bundle::shell("echo ran") else {
        return;
    };
    bundle.write();
    let disk = bundle.path().join("state");
    std::fs::create_dir(&disk).unwrap();
    // Room for the directory and nothing in it.
    let options = "size=4k,nr_inodes=3,mode=700";
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "full"])
        .arg(&disk)
        .status();
    assert!(mounted.unwrap().success());
    let outcome = finish(bundle.start_run());
    let left: Vec<_> = std::fs::read_dir(&disk).unwrap().collect();
    let unmounted = Command::new("umount").arg(&disk).status();
    assert!(unmounted.unwrap().success());
    outcome.assert_error(1, "no space left on device");
    assert!(left.is_empty(), "{left:?}");
    std::fs::remove_dir(Path::new(&disk)).unwrap();
    bundle.assert_nothing_left();
}
