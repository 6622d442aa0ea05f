//! The record of a start says what the kernel says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;
use shim_protocol::{Message, TraceActor, TraceDocument, TraceObject, TraceStep};

use crate::bundle::{Bundle, Outcome, finish};
use crate::shim_client::Shim;

fn traced(bundle: &Bundle, verb: &[&str], rest: &[&str]) -> (Outcome, Option<TraceDocument>) {
    let file = bundle.path().join("trace.json");
    drop(std::fs::remove_file(&file));
    let mut arguments = vec!["--trace", file.to_str().unwrap()];
    arguments.extend_from_slice(verb);
    arguments.push(&bundle.id);
    arguments.extend_from_slice(rest);
    let mut command = bundle.mini(&arguments);
    // The program inherits these: a pipe would not end with `create`.
    command.stdout(std::fs::File::create(bundle.path().join("stdout")).unwrap());
    command.stderr(std::fs::File::create(bundle.path().join("stderr")).unwrap());
    let mut outcome = finish(command.spawn().unwrap());
    outcome.error = std::fs::read_to_string(bundle.path().join("stderr")).unwrap();
    let document = std::fs::read(&file)
        .ok()
        .map(|json| serde_json::from_slice(&json).unwrap());
    (outcome, document)
}

fn names(steps: &[TraceStep]) -> Vec<&str> {
    steps.iter().map(|step| step.step.as_str()).collect()
}

fn objects(steps: &[TraceStep]) -> impl Iterator<Item = &TraceObject> {
    steps.iter().flat_map(|step| &step.objects)
}

/// Each namespace in the record is the one that the process is in.
fn assert_namespaces(steps: &[TraceStep], pid: i32, kinds: &[&str]) {
    let mut seen = BTreeSet::new();
    for object in objects(steps) {
        if let TraceObject::Namespace { kind, inode, .. } = object {
            let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
            assert_eq!(link, PathBuf::from(format!("{kind}:[{inode}]")));
            assert!(seen.insert(kind.as_str()), "{kind} comes twice");
        }
    }
    assert_eq!(seen, kinds.iter().copied().collect());
}

/// The mounts in the record are those of `/proc/PID/mountinfo`, all of them: id, place, type.
fn assert_mounts(steps: &[TraceStep], pid: i32) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let kernel: BTreeMap<u64, (String, String)> = text
        .lines()
        .map(|line| {
            let mut fields = line.split(' ');
            let id = fields.next().unwrap().parse().unwrap();
            let place = fields.nth(3).unwrap().to_owned();
            let kind = line.split_once(" - ").unwrap().1.split(' ').next().unwrap();
            (id, (place, kind.to_owned()))
        })
        .collect();
    let recorded: BTreeMap<u64, (String, String)> = objects(steps)
        .filter_map(|object| match object {
            TraceObject::Mount {
                destination,
                fs_type,
                mount_id,
            } => Some((*mount_id, (destination.clone(), fs_type.clone()))),
            _ => None,
        })
        .collect();
    assert!(recorded.len() > 10, "{recorded:?}");
    // The file system below the root is the machine's own, and may be of a type that has no name of ours.
    let without_types_of_ours = |mounts: &BTreeMap<u64, (String, String)>| {
        mounts
            .iter()
            .map(|(id, (place, kind))| (*id, place.clone(), (place != "/").then(|| kind.clone())))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        without_types_of_ours(&recorded),
        without_types_of_ours(&kernel)
    );
}

#[test]
fn kernel_a_trace_names_every_step_and_what_the_kernel_made_of_it() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.write();
    let path = bundle.path().to_str().unwrap().to_owned();
    let (outcome, document) = traced(&bundle, &["create", "--bundle", &path], &[]);
    outcome.success();
    let document = document.unwrap();
    assert_eq!(
        (document.version, document.command.as_str(), &document.id),
        (1, "create", &bundle.id)
    );
    assert_eq!((document.error, document.failed_step), (None, None));
    let steps = document.steps;
    let pid = bundle.pid();

    // Each process's steps in the order it takes them.
    let of = |actor| {
        steps
            .iter()
            .filter(|step| step.by == actor)
            .map(|step| step.step.as_str())
            .filter(|name| *name != "mount")
            .collect::<Vec<_>>()
    };
    assert_eq!(
        of(TraceActor::Runtime),
        [
            "read_bundle",
            "state_create",
            "cgroup_layout",
            "cgroup_create",
            "clone3",
            "limits",
            "device_rules",
            "state",
            "seccomp_compile"
        ]
    );
    let container = of(TraceActor::Container);
    let expected = [
        "setup",
        "namespaces",
        "detach_mounts",
        "devices",
        "masks",
        "wait_for_limits",
        "enter_cgroup",
        "cgroup_namespace",
        "pivot_root",
        "rlimits",
        "user",
        "cwd",
        "find_program",
    ];
    let mut rest = container.iter();
    for wanted in expected {
        assert!(
            rest.any(|name| *name == wanted),
            "{wanted} is missing or out of order in {container:?}"
        );
    }
    assert!(
        steps
            .windows(2)
            .all(|pair| pair[0].start_ns <= pair[1].start_ns)
    );
    for step in &steps {
        assert_eq!(step.error, None);
        assert!(step.duration_ns < 60_000_000_000, "{step:?}");
        // The one that calls nothing, and those that call as the spec has it.
        let quiet = ["seccomp_compile", "attributes"].contains(&step.step.as_str());
        assert!(quiet || !step.calls.is_empty(), "{step:?}");
    }

    assert_namespaces(&steps, pid, &["pid", "net", "ipc", "uts", "mnt", "cgroup"]);
    assert_mounts(&steps, pid);
    assert!(objects(&steps).any(|object| *object == TraceObject::Process { pid }));
    let cgroups: BTreeSet<PathBuf> = objects(&steps)
        .filter_map(|object| match object {
            TraceObject::Cgroup { path, .. } => Some(PathBuf::from(path)),
            _ => None,
        })
        .collect();
    assert_eq!(cgroups, bundle.cgroup_directories().into_iter().collect());
    assert!(cgroups.iter().all(|path| path.is_dir()));
    let devices: Vec<_> = objects(&steps)
        .filter_map(|object| match object {
            TraceObject::Device { path, major, minor } => {
                Some((path.as_str(), (u64::from(*major), u64::from(*minor))))
            }
            _ => None,
        })
        .collect();
    assert!(devices.contains(&("/dev/null", (1, 3))), "{devices:?}");
    for (path, (major, minor)) in devices {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::metadata(format!("/proc/{pid}/root{path}")).unwrap();
        assert_eq!((found.rdev() >> 8, found.rdev() & 0xff), (major, minor));
    }

    bundle.verb("start", &[], &[]).success();
    let (outcome, document) = traced(&bundle, &["exec"], &["true"]);
    outcome.success();
    let document = document.unwrap();
    assert_eq!(document.command, "exec");
    assert_namespaces(
        &document.steps,
        pid,
        &["pid", "net", "ipc", "uts", "mnt", "cgroup"],
    );
    let names = names(&document.steps);
    for wanted in ["clone3", "enter_cgroup", "namespaces", "user", "execve"] {
        assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
    }
    bundle.delete();
}

#[test]
fn kernel_a_start_that_is_refused_ends_its_trace_with_the_refused_step() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, &str, Change); 8] = [
        ("read_bundle", "a destination is empty", |c| {
            c["mounts"][0]["destination"] = json!("");
        }),
        ("limits", "cpuset.cpus", |c| {
            c["linux"]["resources"]["cpu"] = json!({"cpus": "4096"});
        }),
        ("namespaces", "/no/such/ns", |c| {
            let all = c["linux"]["namespaces"].as_array_mut().unwrap();
            let ipc = all.iter_mut().find(|one| one["type"] == "ipc").unwrap();
            ipc["path"] = json!("/no/such/ns");
        }),
        ("sysctls", "net/no/such", |c| {
            c["linux"]["sysctl"] = json!({"net.no.such": "1"});
        }),
        ("detach_mounts", "nosuch", |c| {
            c["root"]["path"] = json!("nosuch");
        }),
        ("mount", "/no/such", |c| {
            c["mounts"].as_array_mut().unwrap().push(
                json!({"destination": "/x", "type": "bind", "source": "/no/such", "options": ["bind"]}),
            );
        }),
        ("find_program", "nope", |c| {
            c["process"]["args"] = json!(["nope"]);
        }),
        ("execve", "exec format error", |c| {
            c["process"]["args"] = json!(["/text"]);
        }),
    ];
    for (step, words, change) in cases {
        let Some(mut bundle) = Bundle::shell("true") else {
            return;
        };
        std::fs::write(bundle.rootfs().join("text"), "no program\n").unwrap();
        crate::bundle::set_mode(&bundle.rootfs().join("text"), 0o755);
        change(&mut bundle.config);
        bundle.write();
        let path = bundle.path().to_str().unwrap().to_owned();
        let (outcome, document) = traced(&bundle, &["run", "--bundle", &path], &[]);
        assert_ne!(outcome.status, 0);
        let document = document.unwrap();
        let last = document.steps.last().unwrap();
        assert_eq!(last.step, step, "{document:?}");
        assert!(last.error.as_ref().unwrap().contains(words), "{last:?}");
        assert_eq!(document.error, last.error);
        assert_eq!(document.failed_step.as_deref(), Some(step));
        // What was done before is there too, without errors.
        let (_, before) = document.steps.split_last().unwrap();
        assert!(before.iter().all(|step| step.error.is_none()), "{before:?}");
        assert_eq!(step == "read_bundle", before.is_empty());
        bundle.assert_nothing_left();
    }
}

#[test]
fn kernel_hundreds_of_mounts_are_recorded_whole() {
    let Some(mut bundle) = Bundle::shell("true") else {
        return;
    };
    for number in 0..300 {
        let destination = format!("/mnt/{}/{number}", "long".repeat(40));
        bundle.push("/mounts", json!({"destination": destination, "type": "bind", "source": "/proc/version", "options": ["bind"]}));
    }
    bundle.write();
    let path = bundle.path().to_str().unwrap().to_owned();
    let (outcome, document) = traced(&bundle, &["run", "--bundle", &path], &[]);
    outcome.success();
    let count = objects(&document.unwrap().steps)
        .filter(|object| matches!(object, TraceObject::Mount { destination, .. } if destination.starts_with("/mnt/")))
        .count();
    assert_eq!(count, 300);
    bundle.assert_nothing_left();
}

#[test]
fn kernel_a_shim_tells_its_trace_and_why_it_was_refused() {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::launch(&bundle, |config| config.trace = true);
    match shim.control.message() {
        Some(Message::Started { pid, trace, .. }) => {
            assert_namespaces(&trace, pid, &["pid", "net", "ipc", "uts", "mnt", "cgroup"]);
            assert_mounts(&trace, pid);
            assert_eq!(trace.last().unwrap().error, None);
            assert!(names(&trace).contains(&"execve"));
        }
        other => panic!("not started: {other:?}"),
    }
    shim.signal(9);
    shim.finish();
    bundle.config["process"]["args"] = json!(["nope"]);
    let (mut shim, _) = Shim::launch(&bundle, |config| config.trace = true);
    match shim.control.message() {
        Some(Message::StartFailed(failure)) => {
            assert_eq!(failure.step, "find_program");
            let last = failure.trace.last().unwrap();
            assert_eq!(last.step, "find_program");
            assert_eq!(last.error.as_ref(), Some(&failure.message));
        }
        other => panic!("started: {other:?}"),
    }
    shim.wait_for_end();
}

#[test]
fn kernel_without_a_trace_there_is_no_file_and_no_step() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    let (mut shim, _) = Shim::launch(&bundle, |_| {});
    match shim.control.message() {
        Some(Message::Started { trace, .. }) => assert!(trace.is_empty()),
        other => panic!("not started: {other:?}"),
    }
    assert!(!bundle.path().join("trace.json").exists());
    shim.signal(9);
    shim.finish();
}
