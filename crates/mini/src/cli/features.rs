//! `features`: what this runtime offers, as JSON. Nothing is listed that is refused when asked for.
//!
//! Source: runtime-spec features.md and features-linux.md.

use serde_json::json;

use crate::capabilities;
use crate::cli::arguments::Arguments;
use crate::cli::report;
use crate::error::{Error, Result};
use crate::process::memory_policy;
use crate::rootfs::options;
use crate::spec::OCI_VERSION;

const HOOKS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

const NAMESPACES: [&str; 8] = [
    "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
];

const SECCOMP_ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const SECCOMP_OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

const SECCOMP_FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// Those that this kernel takes.
fn supported_seccomp_flags() -> Vec<&'static str> {
    let known = |flag: &&str| {
        use sys::seccomp::{
            FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV, knows_flags,
        };
        match *flag {
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => knows_flags(FLAG_SPEC_ALLOW),
            "SECCOMP_FILTER_FLAG_LOG" => knows_flags(FLAG_LOG),
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                knows_flags(FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV)
            }
            _ => true,
        }
    };
    SECCOMP_FLAGS.into_iter().filter(known).collect()
}

#[cfg(target_arch = "x86_64")]
const SECCOMP_ARCHITECTURES: &[&str] = &["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];
#[cfg(not(target_arch = "x86_64"))]
const SECCOMP_ARCHITECTURES: &[&str] = &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"];

pub(crate) fn run(arguments: &mut Arguments) -> Result<u8> {
    arguments.flags(|flag, _| Err(Arguments::unknown(flag)))?;
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": HOOKS,
        "mountOptions": options::WORDS.as_slice(),
        "linux": {
            "namespaces": NAMESPACES,
            "capabilities": capabilities::NAMES.as_slice(),
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": {
                "enabled": true,
                "actions": SECCOMP_ACTIONS,
                "operators": SECCOMP_OPERATORS,
                "archs": SECCOMP_ARCHITECTURES,
                "knownFlags": SECCOMP_FLAGS,
                "supportedFlags": supported_seccomp_flags(),
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {"modes": words(&memory_policy::MODES), "flags": words(&memory_policy::FLAGS)},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
        },
        "annotations": {"dev.containeros.mini.version": env!("CARGO_PKG_VERSION")},
    });
    let text = serde_json::to_string_pretty(&features)
        .map_err(|error| Error::invalid(format!("encode the features: {error}")))?;
    report::say(&text);
    Ok(0)
}

/// The words of a table, in the alphabet's order.
fn words(table: &[(&'static str, i32)]) -> Vec<&'static str> {
    let mut words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
    words.sort_unstable();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::compile;
    use crate::spec::Seccomp;

    #[test]
    fn every_listed_mount_option_is_understood() {
        for option in options::WORDS {
            let parsed = options::parse(&[option.to_owned()]).unwrap();
            assert!(
                parsed.data.is_empty(),
                "{option} would go to the file system"
            );
        }
    }

    #[test]
    fn every_listed_word_about_filters_is_understood() {
        for action in SECCOMP_ACTIONS {
            // The supervisor cannot be asked about everything.
            let default = if action == "SCMP_ACT_NOTIFY" {
                "SCMP_ACT_ALLOW"
            } else {
                action
            };
            let json = json!({
                "defaultAction": default,
                "architectures": SECCOMP_ARCHITECTURES,
                "flags": SECCOMP_FLAGS,
                "listenerPath": "/run/agent.sock",
                "syscalls": SECCOMP_OPERATORS.map(|op| json!({
                    "names": ["read"], "action": action, "args": [{"index": 0, "value": 1, "valueTwo": 1, "op": op}],
                })).into_iter().chain([json!({"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"})]).collect::<Vec<_>>(),
            });
            let filter: Seccomp = serde_json::from_value(json).unwrap();
            compile(&filter).unwrap();
        }
    }
}
