//! Profiles that a container's creator brings, in Docker's format: the runtime-spec's, with conditions on the host and
//! the container that are decided here.
//!
//! Source: moby profiles/seccomp (format); runtime-spec config-linux.md, Seccomp.

use std::{collections::BTreeSet, path::PathBuf};

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};
use serde::{Deserialize, Deserializer};

use crate::error::{EngineError, Result};

/// This machine as profiles name it, in the words of Go.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};
const NATIVE: Arch = if cfg!(target_arch = "aarch64") {
    Arch::ScmpArchAarch64
} else {
    Arch::ScmpArchX86_64
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    default_action: Option<LinuxSeccompAction>,
    default_errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "null_as_default")]
    architectures: Vec<Arch>,
    #[serde(default, deserialize_with = "null_as_default")]
    arch_map: Vec<ArchEntry>,
    #[serde(default, deserialize_with = "null_as_default")]
    flags: Vec<LinuxSeccompFilterFlag>,
    listener_path: Option<PathBuf>,
    #[serde(default, deserialize_with = "null_as_default")]
    syscalls: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchEntry {
    architecture: Arch,
    #[serde(default, deserialize_with = "null_as_default")]
    sub_architectures: Vec<Arch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    /// Of old profiles, which had one name a rule.
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    names: Vec<String>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "null_as_default")]
    args: Vec<LinuxSeccompArg>,
    #[serde(default, deserialize_with = "null_as_default")]
    includes: Conditions,
    #[serde(default, deserialize_with = "null_as_default")]
    excludes: Conditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Conditions {
    #[serde(deserialize_with = "null_as_default")]
    caps: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    arches: Vec<String>,
    min_kernel: Option<KernelVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct KernelVersion(u8, u8);

impl TryFrom<String> for KernelVersion {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.split_once('.')
            .and_then(|(kernel, major)| Some(Self(kernel.parse().ok()?, major.parse().ok()?)))
            .filter(|version| *version > Self(0, 0))
            .ok_or_else(|| {
                format!("invalid kernel version: {text:?}, expected \"<kernel>.<major>\"")
            })
    }
}

impl KernelVersion {
    /// That of a release such as `6.1.0-13-amd64`.
    fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        Some(Self(
            numbers.next()?.parse().ok()?,
            numbers.next()?.parse().ok()?,
        ))
    }
}

/// What the conditions of a profile are about.
struct Host<'a> {
    capabilities: &'a BTreeSet<String>,
    kernel: KernelVersion,
}

/// Returns what a profile in JSON means on this host for a container with these capabilities; `None` when it says
/// nothing, which Docker takes for "no filter".
///
/// # Errors
/// `Invalid` with the place in the profile.
pub(crate) fn parse_profile(
    json: &str,
    capabilities: &BTreeSet<String>,
) -> Result<Option<LinuxSeccomp>> {
    let release = rustix::system::uname();
    let host = Host {
        capabilities,
        kernel: KernelVersion::of_release(&release.release().to_string_lossy())
            .unwrap_or(KernelVersion(u8::MAX, u8::MAX)),
    };
    parse_for(json, &host)
}

fn parse_for(json: &str, host: &Host<'_>) -> Result<Option<LinuxSeccomp>> {
    let profile: Profile = serde_json::from_str(json).map_err(|error| {
        EngineError::Invalid(format!("Decoding seccomp profile failed: {error}"))
    })?;
    let invalid = |why: &str| Err(EngineError::Invalid(format!("seccomp profile: {why}")));
    let Some(default_action) = profile.default_action else {
        if profile.syscalls.is_empty() {
            return Ok(None);
        }
        return invalid("defaultAction is missing");
    };
    if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
        return invalid(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
        );
    }
    let mut architectures = profile.architectures;
    if let Some(entry) = profile
        .arch_map
        .into_iter()
        .find(|entry| entry.architecture == NATIVE)
    {
        architectures.push(entry.architecture);
        architectures.extend(entry.sub_architectures);
    }
    if profile.listener_path.is_some() {
        return invalid("listenerPath is not offered; use SCMP_ACT_ERRNO");
    }
    let mut rules = Vec::new();
    let actions = std::iter::once((default_action, profile.default_errno_ret)).chain(
        profile
            .syscalls
            .iter()
            .map(|rule| (rule.action, rule.errno_ret)),
    );
    for (action, errno) in actions {
        if action == LinuxSeccompAction::ScmpActNotify {
            return invalid("SCMP_ACT_NOTIFY is not offered; use SCMP_ACT_ERRNO");
        }
        if errno.is_some_and(|errno| errno > u32::from(u16::MAX)) {
            return invalid("errnoRet is too large");
        }
    }
    for entry in profile.syscalls {
        let names = match (entry.name.is_empty(), entry.names.is_empty()) {
            (false, false) => {
                return invalid(
                    "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
                );
            }
            (false, true) => vec![entry.name],
            (true, _) => entry.names,
        };
        if let Some(argument) = entry.args.iter().find(|argument| argument.index() > 5) {
            return invalid(&format!(
                "a system call has no argument {}",
                argument.index()
            ));
        }
        if !entry.includes.all_hold(host) || entry.excludes.any_holds(host) {
            continue;
        }
        let mut rule = LinuxSyscall::default();
        rule.set_names(names)
            .set_action(entry.action)
            .set_errno_ret(entry.errno_ret)
            .set_args(Some(entry.args).filter(|args| !args.is_empty()));
        rules.push(rule);
    }
    let mut filter = LinuxSeccomp::default();
    filter
        .set_default_action(default_action)
        .set_default_errno_ret(profile.default_errno_ret)
        .set_architectures(Some(architectures).filter(|names| !names.is_empty()))
        .set_flags(Some(profile.flags).filter(|flags| !flags.is_empty()))
        .set_syscalls(Some(rules));
    Ok(Some(filter))
}

impl Conditions {
    fn all_hold(&self, host: &Host<'_>) -> bool {
        (self.arches.is_empty() || self.arches.iter().any(|arch| arch == ARCHITECTURE))
            && self
                .caps
                .iter()
                .all(|name| host.capabilities.contains(name))
            && self.min_kernel.is_none_or(|least| host.kernel >= least)
    }

    fn any_holds(&self, host: &Host<'_>) -> bool {
        self.arches.iter().any(|arch| arch == ARCHITECTURE)
            || self
                .caps
                .iter()
                .any(|name| host.capabilities.contains(name))
            || self.min_kernel.is_some_and(|least| host.kernel >= least)
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parsed(profile: &Value, capabilities: &[&str]) -> Result<Option<LinuxSeccomp>> {
        let capabilities = capabilities.iter().map(ToString::to_string).collect();
        let host = Host {
            capabilities: &capabilities,
            kernel: KernelVersion(5, 10),
        };
        parse_for(&profile.to_string(), &host)
    }

    fn names(profile: &Value, capabilities: &[&str]) -> Vec<String> {
        let filter = parsed(profile, capabilities).unwrap().unwrap();
        filter
            .syscalls()
            .iter()
            .flatten()
            .flat_map(|rule| rule.names().clone())
            .collect()
    }

    #[test]
    fn conditions_are_decided_for_this_host_and_container() {
        let rule = |name: &str, includes: Value, excludes: Value| json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": null, "includes": includes, "excludes": excludes});
        let profile = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            rule("always", json!({}), Value::Null),
            rule("here", json!({"arches": [ARCHITECTURE, "s390x"]}), json!({})),
            rule("elsewhere", json!({"arches": ["s390x"]}), json!({})),
            rule("not_here", json!({}), json!({"arches": [ARCHITECTURE]})),
            rule("both", json!({"caps": ["CAP_KILL", "CAP_BPF"]}), json!({})),
            rule("without", json!({}), json!({"caps": ["CAP_KILL", "CAP_CHOWN"]})),
            rule("old_enough", json!({"minKernel": "5.10"}), json!({})),
            rule("too_new", json!({"minKernel": "5.11"}), json!({})),
            rule("before", json!({}), json!({"minKernel": "4.8"})),
        ]});
        assert_eq!(
            names(&profile, &["CAP_KILL"]),
            ["always", "here", "old_enough"]
        );
        assert_eq!(
            names(&profile, &["CAP_KILL", "CAP_BPF"]),
            ["always", "here", "both", "old_enough"]
        );
        assert_eq!(
            names(&profile, &[]),
            ["always", "here", "without", "old_enough"]
        );
    }

    #[test]
    fn old_and_new_forms_are_read() {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 7,
            "archMap": [
                {"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]},
                {"architecture": NATIVE.to_string(), "subArchitectures": ["SCMP_ARCH_X86"]},
            ],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [
                {"name": "mkdir", "action": "SCMP_ACT_ERRNO", "errnoRet": 30, "comment": "x", "args": [
                    {"index": 1, "value": 3, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
            ]
        });
        let filter = parsed(&profile, &[]).unwrap().unwrap();
        assert_eq!(
            filter.architectures().as_ref().unwrap(),
            &[NATIVE, Arch::ScmpArchX86]
        );
        assert_eq!(filter.default_errno_ret(), Some(7));
        let rule = &filter.syscalls().as_ref().unwrap()[0];
        assert_eq!(rule.names(), &["mkdir"]);
        assert_eq!(rule.errno_ret(), Some(30));
        assert_eq!(rule.args().as_ref().unwrap()[0].value_two(), Some(1));
    }

    #[test]
    fn an_empty_profile_is_no_filter() {
        assert!(parsed(&json!({}), &[]).unwrap().is_none());
        assert!(parsed(&json!({"syscalls": null}), &[]).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let message = |profile: Value| parsed(&profile, &[]).unwrap_err().to_string();
        let rule = json!({"names": ["a"], "name": "b", "action": "SCMP_ACT_ALLOW"});
        for (profile, part) in [
            (json!([]), "Decoding seccomp profile failed"),
            (json!({"defaultAction": "SCMP_ACT_DANCE"}), "SCMP_ACT_DANCE"),
            (
                json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
                "SCMP_ACT_NOTIFY",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}),
                "'name' and 'names'",
            ),
            (
                json!({"syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW"}]}),
                "defaultAction",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 70_000}),
                "errnoRet",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5"}}]}),
                "kernel version",
            ),
            (
                json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {"names": ["a"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}),
                "argument 6",
            ),
        ] {
            let found = message(profile);
            assert!(found.contains(part), "{found}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in ".{0,200}") {
            drop(parse_profile(&text, &BTreeSet::new()));
        }

        #[test]
        fn releases_of_kernels_are_read(kernel in 1_u8.., major: u8, rest in "(\\.[0-9]{1,3})?(-[a-z0-9]{0,9})?") {
            let release = format!("{kernel}.{major}{rest}");
            prop_assert_eq!(KernelVersion::of_release(&release), Some(KernelVersion(kernel, major)));
        }
    }
}
