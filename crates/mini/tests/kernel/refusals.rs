//! Every refusal names the step, the object, the errno in words, and what would help: on standard error and in the log that
//! callers of runc read, in the same words. And nothing is left of a container that was refused.

use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::{Bundle, Outcome, finish, set_mode};

/// What callers tell failures apart by: no remedy may have these words, or it would make one failure look like another.
const WORDS_OF_CALLERS: [&str; 7] = [
    "permission denied",
    "operation not permitted",
    "no such file or directory",
    "executable file not found in",
    "not a directory",
    "is a directory",
    "does not exist: ",
];

/// A container that cannot be made.
struct Row {
    name: &'static str,
    /// Makes it so. A configuration that becomes `null` is not written: then the change has written the file.
    change: fn(&mut Bundle),
    /// `create`, or `run` for what only the last system call finds out.
    verb: &'static str,
    step: &'static str,
    /// The object and the errno in words, as a part of the sentence.
    words: &'static str,
    hint: &'static str,
}

const fn create(
    name: &'static str,
    change: fn(&mut Bundle),
    step: &'static str,
    words: &'static str,
    hint: &'static str,
) -> Row {
    Row {
        name,
        change,
        verb: "create",
        step,
        words,
        hint,
    }
}

fn set(bundle: &mut Bundle, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    bundle.config.pointer_mut(parent).unwrap()[key] = value;
}

fn mount(bundle: &mut Bundle, destination: &str, kind: &str, source: &str, options: &[&str]) {
    bundle.push(
        "/mounts",
        json!({"destination": destination, "type": kind, "source": source, "options": options}),
    );
}

fn program(bundle: &mut Bundle, name: &str) {
    set(bundle, "/process/args", json!([name]));
}

fn file(bundle: &Bundle, name: &str, content: &str, mode: u32) {
    let path = bundle.rootfs().join(name);
    std::fs::write(&path, content).unwrap();
    set_mode(&path, mode);
}

fn hook(bundle: &mut Bundle, hook: Value) {
    set(bundle, "/hooks", json!({"createRuntime": [hook]}));
}

fn user_namespace(bundle: &mut Bundle, size: u32) {
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    if size > 0 {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": size}]);
        set(bundle, "/linux/uidMappings", map.clone());
        set(bundle, "/linux/gidMappings", map);
    }
}

const BUNDLES: [Row; 12] = [
    create(
        "no config.json",
        |b| b.config = Value::Null,
        "read_bundle",
        "config.json: no such file or directory",
        "is --bundle the right one?",
    ),
    create(
        "config.json that is not JSON",
        |b| {
            b.config = Value::Null;
            std::fs::write(b.path().join("config.json"), "{\n  \"ociVersion\": }").unwrap();
        },
        "read_bundle",
        "config.json: expected value at line 2 column 17",
        "`mini spec` writes an example",
    ),
    create(
        "a version of another kind",
        |b| set(b, "/ociVersion", json!("two")),
        "read_bundle",
        "ociVersion \"two\" is not 1.x.y",
        "write 1.",
    ),
    create(
        "no program at all",
        |b| set(b, "/process/args", json!([])),
        "read_bundle",
        "process.args is empty",
        "name the program",
    ),
    create(
        "a relative working directory",
        |b| set(b, "/process/cwd", json!("tmp")),
        "read_bundle",
        "process.cwd \"tmp\" is not absolute",
        "beginning with /",
    ),
    create(
        "a kernel parameter of the host",
        |b| set(b, "/linux/sysctl", json!({"kernel.panic": "1"})),
        "read_bundle",
        "linux.sysctl: kernel.panic is not of a namespace",
        "set others on the host",
    ),
    create(
        "a user namespace without ids",
        |b| user_namespace(b, 0),
        "read_bundle",
        "linux.uidMappings is empty",
        "give uidMappings and gidMappings",
    ),
    create(
        "an id without a mapping",
        |b| {
            user_namespace(b, 10);
            set(b, "/process/user", json!({"uid": 1000, "gid": 0}));
        },
        "read_bundle",
        "process.user.uid: 1000 is not among the ids of linux.uidMappings",
        "add a range with it to linux.uidMappings",
    ),
    create(
        "a root file system that is not there",
        |b| set(b, "/root/path", json!("nosuch")),
        "detach_mounts",
        "/nosuch: no such file or directory",
        "root.path must be the directory of the root file system",
    ),
    create(
        "a namespace that is not there",
        |b| set(b, "/linux/namespaces/0/path", json!("/no/such/ns")),
        "namespaces",
        "open namespace /no/such/ns: no such file or directory",
        "the process or the mount that kept the namespace is gone",
    ),
    create(
        "a namespace that is none",
        |b| set(b, "/linux/namespaces/0/path", json!("/dev/null")),
        "namespaces",
        "/dev/null is not a namespace",
        "/proc/PID/ns/KIND",
    ),
    create(
        "a kernel parameter that is not there",
        |b| set(b, "/linux/sysctl", json!({"net.no.such": "1"})),
        "sysctls",
        "/proc/sys/net/no/such to \"1\": no such file or directory",
        "this kernel has no such parameter",
    ),
];

const MOUNTS: [Row; 8] = [
    create(
        "a bind mount's source that is not there",
        |b| mount(b, "/x", "bind", "/no/such", &["bind"]),
        "mount",
        "bind mount of /no/such: no such file or directory",
        "make it first, or correct mounts[].source",
    ),
    create(
        "a file system that the kernel does not have",
        |b| mount(b, "/x", "nosuchfs", "x", &[]),
        "mount",
        "mount nosuchfs on /x: no such device",
        "/proc/filesystems lists those it has",
    ),
    create(
        "an option's value that makes no sense",
        |b| mount(b, "/x", "tmpfs", "x", &["size=nonsense"]),
        "mount",
        "mount tmpfs on /x: invalid argument",
        "Bad value for 'size'",
    ),
    create(
        "a file on a directory",
        |b| {
            file(b, "plain", "text", 0o644);
            let source = b.rootfs().join("plain");
            mount(b, "/etc", "bind", source.to_str().unwrap(), &["bind"]);
        },
        "mount",
        "mount /etc: not a directory",
        "both files or both directories",
    ),
    create(
        "a place below a file",
        |b| mount(b, "/bin/busybox/x", "tmpfs", "x", &[]),
        "mount",
        "/bin/busybox/x: not a directory",
        "no part of their paths a file",
    ),
    create(
        "a mount inside /proc",
        |b| mount(b, "/proc/self", "tmpfs", "x", &[]),
        "mount",
        "a mount inside /proc is not permitted",
        "lxcfs",
    ),
    create(
        "a device where something else is",
        |b| {
            set(
                b,
                "/linux/devices",
                json!([{"path": "/etc", "type": "c", "major": 1, "minor": 3}]),
            );
        },
        "devices",
        "/etc is not the device 1:3",
        "take it away, or correct linux.devices",
    ),
    create(
        "a device of an unknown type",
        |b| {
            set(
                b,
                "/linux/devices",
                json!([{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]),
            );
        },
        "devices",
        "linux.devices /dev/x: unknown type \"q\"",
        "the types are c, b, u and p",
    ),
];

const PROCESSES: [Row; 12] = [
    create(
        "a program that no directory has",
        |b| program(b, "nope"),
        "find_program",
        r#"exec: "nope": executable file not found in $PATH"#,
        "install it in the image",
    ),
    create(
        "a program's path that is not there",
        |b| program(b, "/nope"),
        "find_program",
        r#"exec: "/nope": stat /nope: no such file or directory"#,
        "the image has no such file",
    ),
    create(
        "a program without the right to be executed",
        |b| {
            file(b, "data", "text", 0o644);
            program(b, "/data");
        },
        "find_program",
        r#"exec: "/data": permission denied"#,
        "chmod +x",
    ),
    create(
        "a program on a mount that forbids it",
        |b| {
            let source = b.rootfs().join("bin");
            mount(
                b,
                "/noexec",
                "bind",
                source.to_str().unwrap(),
                &["bind", "noexec"],
            );
            program(b, "/noexec/busybox");
        },
        "find_program",
        r#"exec: "/noexec/busybox": permission denied"#,
        "a mount with the option noexec",
    ),
    create(
        "a folder as program",
        |b| program(b, "/etc"),
        "find_program",
        r#"exec: "/etc": is a directory"#,
        "must begin with a program",
    ),
    Row {
        name: "a program for another machine",
        change: |b| {
            file(b, "alien", "\u{7f}ELF", 0o755);
            program(b, "/alien");
        },
        verb: "run",
        step: "execve",
        words: "exec /alien: exec format error",
        hint: "use an image of its architecture",
    },
    Row {
        name: "a script without its interpreter",
        change: |b| {
            file(b, "script", "#!/no/interpreter\n", 0o755);
            program(b, "/script");
        },
        verb: "run",
        step: "execve",
        words: "exec /script: no such file or directory",
        hint: "its interpreter (the first line of a script, or the dynamic loader)",
    },
    create(
        "a working directory that is a file",
        |b| set(b, "/process/cwd", json!("/bin/busybox")),
        "cwd",
        "(\"/bin/busybox\") set in config.json: not a directory",
        "name a directory",
    ),
    create(
        "an unknown limit",
        |b| {
            set(
                b,
                "/process/rlimits",
                json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}]),
            );
        },
        "rlimits",
        "unknown limit \"RLIMIT_NOPE\"",
        "such as RLIMIT_NOFILE",
    ),
    create(
        "a soft limit above the hard one",
        |b| {
            set(
                b,
                "/process/rlimits",
                json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]),
            );
        },
        "rlimits",
        "set RLIMIT_NOFILE to 2:1: invalid argument",
        "must not be above the hard one",
    ),
    create(
        // Above fs.nr_open, which no right goes beyond.
        "a hard limit that cannot be had",
        |b| {
            let limit = json!({"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1_u64 << 40});
            set(b, "/process/rlimits", json!([limit]));
        },
        "rlimits",
        "RLIMIT_NOFILE to 1024:1099511627776: operation not permitted",
        "fs.nr_open",
    ),
    create(
        "too long a name",
        |b| set(b, "/hostname", json!("x".repeat(65))),
        "names",
        "xxx: invalid argument",
        "at most 64 bytes",
    ),
];

const AROUND: [Row; 7] = [
    create(
        "an unknown action of the filter",
        |b| set(b, "/linux/seccomp/defaultAction", json!("SCMP_ACT_NOPE")),
        "seccomp_compile",
        "unknown action \"SCMP_ACT_NOPE\"",
        "mini features lists them",
    ),
    create(
        "an unknown architecture of the filter",
        |b| set(b, "/linux/seccomp/architectures", json!(["SCMP_ARCH_NOPE"])),
        "seccomp_compile",
        "string SCMP_ARCH_NOPE is not a valid arch",
        "SCMP_ARCH_X86_64",
    ),
    create(
        "a hook that says no",
        |b| hook(b, json!({"path": "/bin/false"})),
        "hook",
        "error running createRuntime hook #0: /bin/false: exit status: 1",
        "the hook itself refuses",
    ),
    create(
        "a hook that is not there",
        |b| hook(b, json!({"path": "/no/such/hook"})),
        "hook",
        "error running createRuntime hook #0: /no/such/hook: No such file or directory",
        "must be a program that may be run",
    ),
    create(
        "a hook that does not end",
        |b| {
            hook(
                b,
                json!({"path": "/bin/sleep", "args": ["sleep", "50"], "timeout": 1}),
            );
        },
        "hook",
        "/bin/sleep: not done after 1 s",
        "raise the hook's timeout",
    ),
    create(
        "processors that are not there",
        |b| set(b, "/linux/resources/cpu", json!({"cpus": "4096"})),
        "limits",
        "cpuset.cpus",
        "only CPUs and memory nodes that exist",
    ),
    create(
        "less memory with swap than without",
        |b| {
            set(
                b,
                "/linux/resources/memory",
                json!({"limit": 64 << 20, "swap": 32 << 20}),
            );
        },
        "limits",
        "must not be less than the memory limit",
        "correct this value in linux.resources",
    ),
];

#[test]
fn kernel_a_refused_bundle_names_step_object_and_remedy() {
    all_refused(&BUNDLES);
}

#[test]
fn kernel_a_refused_mount_names_step_object_and_remedy() {
    all_refused(&MOUNTS);
}

#[test]
fn kernel_a_refused_process_names_step_object_and_remedy() {
    all_refused(&PROCESSES);
}

#[test]
fn kernel_refused_hooks_limits_and_filters_name_step_object_and_remedy() {
    all_refused(&AROUND);
}

/// Security modules that this machine may have or not: each way has its words.
#[test]
fn kernel_a_refused_label_names_step_object_and_remedy() {
    let apparmor = Path::new("/sys/kernel/security/apparmor").exists();
    let selinux = Path::new("/sys/fs/selinux/enforce").exists();
    all_refused(&[
        create(
            "a profile that is not loaded",
            |b| set(b, "/process/apparmorProfile", json!("no-such-profile")),
            "names",
            if apparmor {
                "apparmor failed to apply profile"
            } else {
                "apparmor: config provided but apparmor not supported"
            },
            if apparmor {
                "must be loaded"
            } else {
                "start the machine with AppArmor"
            },
        ),
        create(
            "a label of SELinux",
            |b| set(b, "/process/selinuxLabel", json!("a:b:c:s0")),
            if selinux { "names" } else { "read_bundle" },
            if selinux {
                "attr/exec"
            } else {
                "selinux is disabled or not supported"
            },
            if selinux {
                ""
            } else {
                "start the machine with SELinux"
            },
        ),
    ]);
}

/// What is wrong with the command, not with the bundle.
#[test]
fn kernel_a_refused_command_names_step_object_and_remedy() {
    let Some(mut bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    bundle.write();
    let config = bundle.path().join("config.json");
    let below_file = config.join("x");
    let below_file = below_file.to_str().unwrap();
    for (globals, flags, step, words, hint) in [
        (
            vec![],
            vec!["--pid-file", "/no/such/pid"],
            "create",
            "write the pid file /no/such/pid: no such file or directory",
            "the directory of --pid-file must exist",
        ),
        (
            vec!["--root", below_file],
            vec![],
            "state_create",
            "config.json/x: not a directory",
            "name a directory that this user may write to",
        ),
        (
            vec![],
            vec!["--console-socket", "/no/such/socket"],
            "create",
            "cannot use console socket if mini will not detach or allocate tty",
            "leave --console-socket out",
        ),
        (
            vec![],
            vec!["--nope"],
            "create",
            "flag provided but not defined: -nope",
            "--help",
        ),
    ] {
        let told = told(&bundle, "create", &globals, &flags);
        check(words, &told, step, words, hint);
        bundle.assert_nothing_left();
    }
    set(&mut bundle, "/process/terminal", json!(true));
    bundle.write();
    for (flags, words, hint) in [
        (
            vec![],
            "cannot allocate tty if mini will detach without setting console socket",
            "give --console-socket",
        ),
        (
            vec!["--console-socket", "/no/such/socket"],
            "connect to the console socket /no/such/socket: no such file or directory",
            "must listen on --console-socket before",
        ),
    ] {
        let told = told(&bundle, "create", &[], &flags);
        check(words, &told, "create", words, hint);
        bundle.assert_nothing_left();
    }
}

/// In the words that containerd, CRI-O and Podman look for.
#[test]
fn kernel_a_refused_verb_names_step_object_and_remedy() {
    let Some(bundle) = Bundle::shell("sleep 1000") else {
        return;
    };
    for verb in ["state", "start", "kill", "delete", "pause", "ps", "exec"] {
        let words = format!("container does not exist: {}", bundle.id);
        let outcome = bundle.verb(verb, &[], &["true"][..usize::from(verb == "exec")]);
        check(verb, &line_of(&outcome), verb, &words, "mini list");
    }
    bundle.start_detached();
    let refused = |verb: &str, words: &[&str], message: &str, hint: &str| {
        let outcome = bundle.verb(verb, &[], words);
        check(verb, &line_of(&outcome), verb, message, hint);
    };
    refused("delete", &[], "that is not stopped: running", "--force");
    refused("kill", &["NOPE"], "unknown signal \"NOPE\"", "RTMIN+3");
    let path = bundle.path().to_str().unwrap();
    let again = bundle.verb("create", &["--bundle", path], &[]);
    let words = "container with given ID already exists";
    check(
        words,
        &line_of(&again),
        "state_create",
        words,
        "choose another id",
    );
    let nope = bundle.verb("exec", &[], &["nope"]);
    let words = "executable file not found in $PATH";
    check(
        words,
        &line_of(&nope),
        "find_program",
        words,
        "install it in the image",
    );
    bundle.verb("kill", &[], &["KILL"]).success();
    crate::bundle::eventually("it ends", || bundle.state()["status"] == "stopped");
    refused("kill", &["TERM"], "container not running", "mini delete");
    refused(
        "exec",
        &["true"],
        "cannot exec in a stopped container",
        "start a new",
    );
    bundle.delete();
}

fn all_refused(rows: &[Row]) {
    for row in rows {
        let Some(mut bundle) = Bundle::shell("echo ran") else {
            return;
        };
        (row.change)(&mut bundle);
        if !bundle.config.is_null() {
            bundle.write();
        }
        let told = told(&bundle, row.verb, &[], &[]);
        check(row.name, &told, row.step, row.words, row.hint);
        bundle.assert_nothing_left();
    }
}

/// What a refused `create` or `run` says, having made sure that the log says the same.
#[track_caller]
fn told(bundle: &Bundle, verb: &str, globals: &[&str], flags: &[&str]) -> String {
    let log = bundle.path().join("log.json");
    drop(std::fs::remove_file(&log));
    let path = bundle.path().to_str().unwrap();
    let mut arguments = vec!["--log", log.to_str().unwrap(), "--log-format", "json"];
    arguments.extend_from_slice(globals);
    arguments.extend_from_slice(&[verb, "--bundle", path]);
    arguments.extend_from_slice(flags);
    arguments.push(&bundle.id);
    let mut command = bundle.mini(&arguments);
    // A program that should not run would keep a pipe open.
    let errors = bundle.path().join("stderr");
    command.stdout(File::create(bundle.path().join("stdout")).unwrap());
    command.stderr(File::create(&errors).unwrap());
    let mut outcome = finish(command.spawn().unwrap());
    outcome.error = std::fs::read_to_string(&errors).unwrap();
    let line = line_of(&outcome);
    let log = std::fs::read_to_string(&log).unwrap();
    let logged: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(logged["level"], "error", "{log}");
    assert_eq!(logged["msg"], line.as_str(), "{log}");
    assert!(logged["time"].as_str().unwrap().ends_with('Z'), "{log}");
    line
}

/// The line of standard error that says why.
#[track_caller]
fn line_of(outcome: &Outcome) -> String {
    // That of exec cannot be mistaken for one of its program.
    assert!([1, 255].contains(&outcome.status), "{outcome:?}");
    outcome
        .error
        .strip_prefix("error: ")
        .unwrap_or_else(|| panic!("{outcome:?}"))
        .trim_end()
        .to_owned()
}

#[track_caller]
fn check(name: &str, told: &str, step: &str, words: &str, hint: &str) {
    let (sentence, rest) = told
        .split_once(&format!(" (step {step}"))
        .unwrap_or_else(|| panic!("{name}: no step {step} in {told:?}"));
    assert!(
        sentence.contains(words),
        "{name}: {words:?} not in {told:?}"
    );
    assert!(rest.contains(hint), "{name}: {hint:?} not in {told:?}");
    if !hint.is_empty() {
        assert!(
            rest.starts_with(": ") && rest.ends_with(')'),
            "{name}: {told:?}"
        );
    }
    for word in WORDS_OF_CALLERS {
        assert!(
            !rest.contains(word),
            "{name}: {word:?} in the hint of {told:?}"
        );
    }
}
