//! `mini` run by an ordinary user.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::bundle::{Bundle, Outcome, eventually, finish};
use crate::user_namespace::give;

/// A user that no machine knows: without a name, and without further ids in /etc/subuid.
const USER: u32 = 54_321;

struct Rootless {
    bundle: Bundle,
    program: PathBuf,
}

impl Rootless {
    /// What `mini spec --rootless` writes, made from Docker's spec.
    fn new(script: &str) -> Option<Self> {
        let mut bundle = Bundle::shell(script)?;
        let namespaces = ["mount", "pid", "ipc", "uts", "cgroup", "user"];
        bundle.config["linux"]["namespaces"] = namespaces.map(|kind| json!({"type": kind})).into();
        let ids = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
        bundle.config["linux"]["uidMappings"] = ids.clone();
        bundle.config["linux"]["gidMappings"] = ids;
        bundle.config["linux"]["resources"] = Value::Null;
        bundle.config["linux"]["cgroupsPath"] = json!("");
        bundle.config["linux"]["sysctl"] = json!({});
        bundle.config["process"]["oomScoreAdj"] = Value::Null;
        bundle.config["process"]["user"] = json!({"uid": 0, "gid": 0});
        let mounts = bundle.config["mounts"].as_array_mut().unwrap();
        for mount in mounts {
            if mount["destination"] == "/sys" {
                *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
            }
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| !option.as_str().unwrap().starts_with("gid="));
            }
        }
        // Where the program was built, another user may not be let through to it.
        let program = bundle.path().join("mini");
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_mini"))
            .arg(&program)
            .status();
        assert!(copied.unwrap().success());
        std::fs::create_dir(bundle.path().join("run")).unwrap();
        give(bundle.path(), USER);
        Some(Self { bundle, program })
    }

    fn mini(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("XDG_RUNTIME_DIR", self.bundle.path().join("run"))
            .uid(USER)
            .gid(USER)
            .current_dir(self.bundle.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn verb(&self, verb: &[&str], words: &[&str]) -> Outcome {
        let arguments = [verb, &[self.bundle.id.as_str()], words].concat();
        finish(self.mini(&arguments).spawn().unwrap())
    }

    fn run(&self) -> Outcome {
        self.bundle.write();
        self.verb(&["run"], &[])
    }

    fn create(&self) -> Outcome {
        self.bundle.write();
        let mut command = self.mini(&["create", &self.bundle.id]);
        command.stdout(std::fs::File::create(self.bundle.path().join("stdout")).unwrap());
        command.stderr(std::fs::File::create(self.bundle.path().join("stderr")).unwrap());
        let mut outcome = finish(command.spawn().unwrap());
        outcome.error = std::fs::read_to_string(self.bundle.path().join("stderr")).unwrap();
        outcome
    }

    fn assert_nothing_left(&self) {
        self.bundle.assert_nothing_left();
        let state = self.bundle.path().join("run/mini");
        let left = std::fs::read_dir(state)
            .map(Iterator::count)
            .unwrap_or_default();
        assert_eq!(left, 0, "state is left");
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(self.verb(&["delete", "--force"], &[]));
        }
    }
}

#[test]
fn kernel_an_ordinary_user_runs_a_container() {
    let Some(rootless) = Rootless::new(
        "id -u; cat /proc/self/uid_map; cat /proc/self/setgroups; echo x > /dev/null && touch /file && \
         ls /sys/class > /dev/null && mount | grep -c ' /proc '; hostname; exit 7",
    ) else {
        return;
    };
    let outcome = rootless.run();
    assert_eq!(outcome.status, 7, "{outcome:?}");
    let words: Vec<&str> = outcome.output.split_whitespace().collect();
    assert_eq!(words[..5], ["0", "0", "54321", "1", "deny"], "{outcome:?}");
    rootless.assert_nothing_left();
}

#[test]
fn kernel_every_verb_works_for_an_ordinary_user() {
    let Some(rootless) = Rootless::new("echo started; sleep 1000; true") else {
        return;
    };
    rootless.create().success();
    let state = |rootless: &Rootless| -> Value {
        serde_json::from_str(&rootless.verb(&["state"], &[]).success()).unwrap()
    };
    assert_eq!(state(&rootless)["status"], "created");
    rootless.verb(&["start"], &[]).success();
    eventually("it runs", || {
        rootless.bundle.detached_output() == "started\n"
    });
    assert_eq!(state(&rootless)["status"], "running");
    let pid = state(&rootless)["pid"].as_i64().unwrap();
    let processes = rootless.verb(&["ps", "--format", "json"], &[]).success();
    let pids: Vec<i64> = serde_json::from_str(&processes).unwrap();
    assert!(pids.contains(&pid) && pids.len() == 2, "{pids:?}");
    let list = finish(rootless.mini(&["list", "--quiet"]).spawn().unwrap()).success();
    assert_eq!(list.trim(), rootless.bundle.id);
    let words = [
        "/bin/sh",
        "-c",
        "id -u; readlink /proc/self/ns/pid; cat /proc/self/status",
    ];
    let executed = rootless.verb(&["exec"], &words).success();
    let lines: Vec<&str> = executed.lines().collect();
    let namespace = std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    assert_eq!(lines[..2], ["0", namespace.to_str().unwrap()]);
    let capabilities = crate::bundle::status_field(&executed, "CapEff");
    assert_ne!(capabilities, "0000000000000000");
    rootless.verb(&["pause"], &[]).assert_error(1, "cgroup");
    rootless
        .verb(&["resume"], &[])
        .assert_error(1, "not paused");
    rootless.verb(&["kill"], &["KILL"]).success();
    eventually("it is stopped", || state(&rootless)["status"] == "stopped");
    rootless.verb(&["delete"], &[]).success();
    rootless.assert_nothing_left();
}

#[test]
fn kernel_a_running_rootless_container_is_deleted_by_force() {
    let Some(rootless) = Rootless::new("sleep 1000 & exec sleep 1000") else {
        return;
    };
    rootless.create().success();
    rootless.verb(&["start"], &[]).success();
    rootless.verb(&["delete", "--force"], &[]).success();
    rootless.assert_nothing_left();
}

#[test]
fn kernel_limits_and_a_cgroup_path_need_a_delegated_cgroup() {
    let Some(mut rootless) = Rootless::new("true") else {
        return;
    };
    let words =
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups";
    rootless.bundle.config["linux"]["resources"] = json!({"pids": {"limit": 10}});
    rootless.run().assert_error(1, words);
    rootless.bundle.config["linux"]["resources"] = json!({});
    rootless.bundle.config["linux"]["cgroupsPath"] = json!("/somewhere/else");
    rootless.run().assert_error(1, words);
    // Told not to be lenient, the kernel's own words are enough.
    rootless.bundle.config["linux"]["cgroupsPath"] = json!("");
    rootless.bundle.write();
    let outcome = rootless.verb(&["--rootless=false", "run"], &[]);
    outcome.assert_error(1, "permission denied");
    assert!(!outcome.error.contains("rootless needs"), "{outcome:?}");
    rootless.assert_nothing_left();
}

#[test]
fn kernel_what_an_ordinary_user_may_not_is_said() {
    let Some(mut rootless) = Rootless::new("true") else {
        return;
    };
    let user = json!({"uid": 0, "gid": 0, "additionalGids": [0]});
    rootless.bundle.config["process"]["user"] = user;
    rootless.run().assert_error(1, "setgroups");
    rootless.bundle.config["process"]["user"] = json!({"uid": 0, "gid": 0});
    // More ids than the own one: newuidmap refuses a user who is not in /etc/subuid, or is not installed.
    let ids = json!([{"containerID": 0, "hostID": USER, "size": 1}, {"containerID": 1, "hostID": 700_000, "size": 10}]);
    rootless.bundle.config["linux"]["uidMappings"] = ids.clone();
    let outcome = rootless.run();
    outcome.assert_error(1, "newuidmap");
    rootless.bundle.config["linux"]["gidMappings"] = ids;
    rootless.bundle.config["linux"]["uidMappings"] =
        json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    rootless.run().assert_error(1, "newgidmap");
    rootless.bundle.config["linux"]["namespaces"] = json!([{"type": "mount"}]);
    for list in ["uidMappings", "gidMappings"] {
        rootless.bundle.config["linux"][list] = Value::Null;
    }
    rootless.bundle.config["hostname"] = json!("");
    rootless
        .run()
        .assert_error(1, "rootless container requires user namespaces");
    rootless.assert_nothing_left();
}

/// `unshare --map-root-user mini …`: root of a user namespace with one id, who has no rights over the machine.
#[test]
fn kernel_root_of_a_user_namespace_is_found_out() {
    let Some(mut rootless) = Rootless::new("id -u; echo x > /dev/null && cat /proc/self/uid_map")
    else {
        return;
    };
    // No user namespace of its own: the one that we are in does.
    let namespaces = ["mount", "pid", "ipc", "uts"];
    rootless.bundle.config["linux"]["namespaces"] =
        namespaces.map(|kind| json!({"type": kind})).into();
    for list in ["uidMappings", "gidMappings"] {
        rootless.bundle.config["linux"][list] = Value::Null;
    }
    rootless.bundle.write();
    let program = rootless.program.to_str().unwrap();
    let mini = rootless.mini(&[]);
    let in_namespace = |words: &[&str]| {
        let mut command = Command::new("/usr/bin/unshare");
        command
            .args(["--map-root-user", program])
            .args(words)
            .env_clear()
            .envs(
                mini.get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .uid(USER)
            .gid(USER)
            .current_dir(rootless.bundle.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        finish(command.spawn().unwrap())
    };
    let output = in_namespace(&["run", &rootless.bundle.id]).success();
    let words: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "54321", "1"]);
    // Not told to do without, it says what is missing.
    let outcome = in_namespace(&["--rootless=false", "run", &rootless.bundle.id]);
    outcome.assert_error(1, "cgroup");
    rootless.assert_nothing_left();
}

/// With a range of further ids, as a distribution gives it to each of its users. The files that say so are those of a mount
/// namespace of this test alone.
#[test]
fn kernel_newuidmap_gives_an_ordinary_user_further_ids() {
    let Some(mut rootless) = Rootless::new(
        "cat /proc/self/uid_map /proc/self/setgroups; touch /tmp/file; chown 7:8 /tmp/file && stat -c %u:%g /tmp/file; id -G",
    ) else {
        return;
    };
    let installed = ["/usr/bin/newuidmap", "/usr/bin/newgidmap"]
        .iter()
        .all(|path| std::path::Path::new(path).exists());
    let ids = json!([
        {"containerID": 0, "hostID": USER, "size": 1},
        {"containerID": 1, "hostID": 700_000, "size": 1000},
    ]);
    rootless.bundle.config["linux"]["uidMappings"] = ids.clone();
    rootless.bundle.config["linux"]["gidMappings"] = ids;
    rootless.bundle.config["process"]["user"] = json!({"uid": 0, "gid": 0, "additionalGids": [9]});
    rootless.bundle.write();
    let permitted = rootless.bundle.path().join("subid");
    let line = format!("{USER}:700000:1000\n");
    std::fs::write(&permitted, line).unwrap();
    let user = "probe";
    let passwd = rootless.bundle.path().join("passwd");
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let users = format!("{users}{user}:x:{USER}:{USER}::/:/bin/sh\n");
    std::fs::write(&passwd, users).unwrap();
    let script = format!(
        "mount --bind {0} /etc/subuid && mount --bind {0} /etc/subgid && mount --bind {1} /etc/passwd && \
         exec setpriv --reuid {USER} --regid {USER} --clear-groups {2} run {3}",
        permitted.display(),
        passwd.display(),
        rootless.program.display(),
        rootless.bundle.id,
    );
    let mut command = Command::new("/usr/bin/unshare");
    command
        .args(["--mount", "/bin/sh", "-c", &script])
        .env("XDG_RUNTIME_DIR", rootless.bundle.path().join("run"))
        .current_dir(rootless.bundle.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let outcome = finish(command.spawn().unwrap());
    if installed {
        let words: Vec<&str> = outcome.output.split_whitespace().collect();
        let expected = [
            "0", "54321", "1", "1", "700000", "1000", "allow", "7:8", "0", "9",
        ];
        assert_eq!(words, expected, "{outcome:?}");
    } else {
        outcome.assert_error(1, "newuidmap is not in");
    }
    rootless.assert_nothing_left();
}

#[test]
fn kernel_an_ordinary_users_container_has_a_terminal() {
    let Some(mut rootless) =
        Rootless::new("tty; stat -c %u:%a $(tty); ls -l /dev/console | cut -c1")
    else {
        return;
    };
    rootless.bundle.config["process"]["terminal"] = json!(true);
    let outcome = rootless.run();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let lines: Vec<&str> = outcome.output.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "/dev/pts/0", "{outcome:?}");
    assert!(lines[1].starts_with("0:6"), "{outcome:?}");
    assert_eq!(lines[2], "c", "{outcome:?}");
    rootless.assert_nothing_left();
}
