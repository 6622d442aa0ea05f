use super::*;
use crate::container::mounts::{MountRecord, MountSource};

#[test]
fn sizes_and_log_options_are_read() {
    for (text, bytes) in [
        ("10", 10),
        ("10k", 10240),
        ("10KB", 10240),
        ("1m", 1 << 20),
        ("2GiB", 2 << 30),
    ] {
        assert_eq!(parse_size(text), Some(bytes), "{text}");
    }
    for bad in ["", "m", "-1", "1x", "1.5m"] {
        assert_eq!(parse_size(bad), None, "{bad}");
    }
    assert_eq!(
        log_option("max-file", "3").unwrap(),
        Some(LogOption::MaxFiles(3))
    );
    assert!(log_option("max-file", "0").is_err());
    assert!(log_option("max-size", "0").is_err());
    assert!(log_option("mode", "sometimes").is_err());
    assert_eq!(
        log_option("mode", "non-blocking").unwrap(),
        Some(LogOption::Blocking(false))
    );
    assert_eq!(
        log_option("max-buffer-size", "4m").unwrap(),
        Some(LogOption::MaxBufferSize(4 << 20))
    );
    assert!(log_option("max-buffer-size", "0").is_err());
}

#[test]
fn a_console_has_a_size_or_none() {
    assert_eq!(console_size(Some(&[24, 80])).unwrap().width, 80);
    assert_eq!(console_size(Some(&[0, 0])), None);
    assert_eq!(console_size(Some(&[24])), None);
    assert_eq!(console_size(Some(&[70_000, 80])), None);
}

proptest::proptest! {
    #[test]
    fn no_option_panics(key: String, value: String) {
        log_option("max-size", &value).ok();
        log_option(&key, &value).ok();
    }
}

fn record(config: Value, host: Value) -> ContainerRecord {
    let mut record = ContainerRecord::of_stranger(&"ab".repeat(32));
    record.config = serde_json::from_value(config).unwrap();
    record.host_config = serde_json::from_value(host).unwrap();
    record
}

fn spec_of(record: ContainerRecord, around: &Surroundings) -> oci_spec::runtime::Spec {
    let places = crate::container::handle::Places {
        state_dir: "/state".into(),
        bundle_dir: "/bundle".into(),
        cgroup_path: "/containeros/x".into(),
    };
    let container = Container::new(record, places);
    let json = config(&container, around).unwrap();
    // Coded by others: what they read is what we meant to write.
    serde_json::from_value(json).unwrap()
}

fn around() -> Surroundings {
    Surroundings {
        rootfs: "/bundle/rootfs".into(),
        user: User {
            uid: 1000,
            gid: 100,
            additional_gids: vec![100, 200],
            home: "/home/x".into(),
        },
        sources: Vec::new(),
        etc_dir: "/bundle".into(),
        shm: None,
        network: Shared::Path("/run/netns/x".into()),
        pid: Shared::Own,
        ipc: Shared::Own,
        mini: "/usr/bin/mini".into(),
    }
}

#[test]
fn an_independent_reader_of_the_spec_finds_what_was_asked_for() {
    let host = json!({"Memory": 64 << 20, "MemorySwap": -1, "NanoCpus": 1_500_000_000_i64, "PidsLimit": 5, "ReadonlyRootfs": true,
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": -1}], "MaskedPaths": ["/proc/kcore"], "Init": true, "ShmSize": 1024});
    let config = json!({"Hostname": "box", "Env": ["A=1", "PATH=/bin"], "Cmd": ["sleep", "1"], "WorkingDir": "/srv", "Tty": true});
    let spec = spec_of(record(config, host), &around());
    let process = spec.process().as_ref().unwrap();
    assert_eq!(
        process.args().as_ref().unwrap(),
        &["/sbin/docker-init", "--", "sleep", "1"]
    );
    let env = process.env().as_ref().unwrap();
    assert_eq!(
        env,
        &[
            "PATH=/bin",
            "HOSTNAME=box",
            "TERM=xterm",
            "A=1",
            "HOME=/home/x"
        ]
    );
    assert_eq!((process.user().uid(), process.user().gid()), (1000, 100));
    assert_eq!(process.terminal(), Some(true));
    let capabilities = process.capabilities().as_ref().unwrap();
    assert!(capabilities.effective().as_ref().unwrap().is_empty());
    assert!(!capabilities.bounding().as_ref().unwrap().is_empty());
    let rlimit = &process.rlimits().as_ref().unwrap()[0];
    assert_eq!((rlimit.soft(), rlimit.hard()), (1, u64::MAX));
    assert_eq!(spec.hostname().as_deref(), Some("box"));
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(true));
    let linux = spec.linux().as_ref().unwrap();
    let resources = linux.resources().as_ref().unwrap();
    let memory = resources.memory().as_ref().unwrap();
    assert_eq!((memory.limit(), memory.swap()), (Some(64 << 20), Some(-1)));
    let cpu = resources.cpu().as_ref().unwrap();
    assert_eq!((cpu.quota(), cpu.period()), (Some(150_000), Some(100_000)));
    assert!(!resources.devices().as_ref().unwrap()[0].allow());
    assert!(linux.seccomp().is_some());
    let kinds = linux.namespaces().as_ref().unwrap().len();
    assert_eq!(kinds, 6);
    let mounts = spec.mounts().as_ref().unwrap();
    let at = |path: &str| {
        mounts
            .iter()
            .any(|mount| mount.destination() == Path::new(path))
    };
    assert!(at("/proc") && at("/etc/hosts") && at("/sbin/docker-init"));
}

#[test]
fn namespaces_of_the_host_are_left_out() {
    let host = json!({"UTSMode": "host", "CgroupnsMode": "host", "SecurityOpt": ["seccomp=unconfined", "no-new-privileges=false"]});
    let around = Surroundings {
        network: Shared::Host,
        pid: Shared::Host,
        ipc: Shared::Host,
        ..around()
    };
    let spec = spec_of(record(json!({"Cmd": ["x"]}), host), &around);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.namespaces().as_ref().unwrap().len(), 1);
    assert!(linux.seccomp().is_none());
    assert_eq!(spec.hostname(), &None);
    assert_eq!(
        spec.process().as_ref().unwrap().no_new_privileges(),
        Some(false)
    );
    assert!(linux.sysctl().as_ref().is_none_or(HashMap::is_empty));
}

#[test]
fn a_mount_takes_the_place_of_what_is_there_by_default() {
    let mut record = record(json!({"Cmd": ["x"]}), json!({"ShmSize": 1}));
    let mount = |destination: &str, source, read_only| MountRecord {
        destination: destination.to_owned(),
        source,
        read_only,
        mode: String::new(),
        propagation: String::new(),
    };
    let tmpfs = MountSource::Tmpfs {
        options: vec!["size=1m".into()],
    };
    let bind = MountSource::Bind {
        path: "/srv".into(),
        create: false,
        non_recursive: false,
    };
    record.mounts = vec![
        mount("/dev/shm", tmpfs, false),
        mount("/etc/hosts", bind, true),
    ];
    let around = Surroundings {
        sources: vec![PathBuf::new(), "/srv".into()],
        ..around()
    };
    let spec = spec_of(record, &around);
    let mounts = spec.mounts().as_ref().unwrap();
    let at: Vec<_> = mounts
        .iter()
        .filter(|mount| mount.destination() == Path::new("/etc/hosts"))
        .collect();
    assert_eq!(at.len(), 1);
    assert_eq!(at[0].source().as_deref(), Some(Path::new("/srv")));
    assert!(
        at[0]
            .options()
            .as_ref()
            .unwrap()
            .contains(&"rro".to_owned())
    );
    assert_eq!(
        mounts
            .iter()
            .filter(|mount| mount.destination() == Path::new("/dev/shm"))
            .count(),
        1
    );
}
