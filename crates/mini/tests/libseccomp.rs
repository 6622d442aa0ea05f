//! Our compiler of system call filters against libseccomp, which runc and crun use: the same answer for every system call of
//! every architecture with a table of argument values, for the profiles of Docker and Podman and for random ones.
//!
//! Both programs run in one interpreter. libseccomp gets the rules as runc hands them over, with runc's answer for calls that
//! are newer than the profile before it.
//!
//! Podman's profile is `/usr/share/containers/seccomp.json` of containers/common 0.50.1 (Apache-2.0).
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use mini::seccomp::arch::{Arch, X32_BIT};
use mini::seccomp::compile_for;
use mini::seccomp::interpret::{Call, run};
use mini::spec::{Seccomp, Spec, SyscallArgument, SyscallRule};
use proptest::prelude::*;
use serde_json::Value;
use sys::seccomp::Instruction;

const ENOSYS: u32 = 0x0005_0026;
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const X86: [Arch; 3] = [Arch::X86_64, Arch::X86, Arch::X32];
const ARM: [Arch; 2] = [Arch::Aarch64, Arch::Arm];

fn their_arch(arch: Arch) -> ScmpArch {
    match arch {
        Arch::X86_64 => ScmpArch::X8664,
        Arch::X86 => ScmpArch::X86,
        Arch::X32 => ScmpArch::X32,
        Arch::Aarch64 => ScmpArch::Aarch64,
        Arch::Arm => ScmpArch::Arm,
    }
}

fn word(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "SCMP_ARCH_X86_64",
        Arch::X86 => "SCMP_ARCH_X86",
        Arch::X32 => "SCMP_ARCH_X32",
        Arch::Aarch64 => "SCMP_ARCH_AARCH64",
        Arch::Arm => "SCMP_ARCH_ARM",
    }
}

fn their_action(name: &str, errno: Option<u32>) -> ScmpAction {
    let errno = errno.unwrap_or(1).try_into().unwrap();
    match name {
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(errno),
        "SCMP_ACT_TRACE" => ScmpAction::Trace(errno.try_into().unwrap()),
        other => ScmpAction::from_str(other, None).unwrap(),
    }
}

fn their_condition(argument: &SyscallArgument) -> ScmpArgCompare {
    let (op, datum) = match argument.op.as_str() {
        "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, argument.value),
        "SCMP_CMP_LT" => (ScmpCompareOp::Less, argument.value),
        "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, argument.value),
        "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, argument.value),
        "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, argument.value),
        "SCMP_CMP_GT" => (ScmpCompareOp::Greater, argument.value),
        "SCMP_CMP_MASKED_EQ" => (
            ScmpCompareOp::MaskedEqual(argument.value),
            argument.value_two,
        ),
        other => panic!("{other}"),
    };
    ScmpArgCompare::new(argument.index, op, datum)
}

/// The number that libseccomp has for a call; [`None`] when it does not know the name or the architecture lacks it.
fn their_number(name: &str, arch: Arch) -> Option<u32> {
    let number = ScmpSyscall::from_name_by_arch(name, their_arch(arch)).ok()?;
    u32::try_from(number.as_raw_syscall()).ok()
}

fn is_repeated(arguments: &[SyscallArgument]) -> bool {
    let mut seen = [false; 6];
    arguments
        .iter()
        .any(|argument| std::mem::replace(&mut seen[argument.index as usize], true))
}

/// libseccomp's program, made as runc does it.
fn theirs(profile: &Seccomp, archs: &[Arch]) -> Vec<Instruction> {
    let default = their_action(&profile.default_action, profile.default_errno_ret);
    let mut context = ScmpFilterContext::new(default).unwrap();
    context.remove_arch(ScmpArch::native()).unwrap();
    for arch in archs {
        context.add_arch(their_arch(*arch)).unwrap();
    }
    if profile.syscalls.len() > 32 {
        context.set_ctl_optimize(2).unwrap();
    }
    for rule in &profile.syscalls {
        let action = their_action(&rule.action, rule.errno_ret);
        if action == default {
            continue;
        }
        for name in &rule.names {
            let Ok(call) = ScmpSyscall::from_name(name) else {
                continue;
            };
            let conditions: Vec<_> = rule.args.iter().map(their_condition).collect();
            let alternatives = if is_repeated(&rule.args) {
                conditions.iter().map(std::slice::from_ref).collect()
            } else {
                vec![conditions.as_slice()]
            };
            for conditions in alternatives {
                context
                    .add_rule_conditional(action, call, conditions)
                    .unwrap_or_else(|error| panic!("{name} {rule:?}: {error}"));
            }
        }
    }
    let mut file = tempfile::tempfile().unwrap();
    context.export_bpf(&file).unwrap();
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
        .chunks_exact(8)
        .map(|chunk| Instruction {
            code: u16::from_ne_bytes([chunk[0], chunk[1]]),
            jump_true: chunk[2],
            jump_false: chunk[3],
            operand: u32::from_ne_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]),
        })
        .collect()
}

/// What runc puts before libseccomp's program: the highest number that the profile names, for each architecture.
fn newest(profile: &Seccomp, arch: Arch) -> Option<u32> {
    let permits = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];
    if permits.contains(&profile.default_action.as_str()) {
        return None;
    }
    let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
    names
        // runc does not see the direct numbers of multiplexed calls, and takes newer ones for newer than the profile.
        .filter_map(|name| match arch.multiplexer(name) {
            Some(_) => arch.number(name),
            None => their_number(name, arch),
        })
        // 32-bit ARM's own calls are numbered apart: with them, runc takes every newer call for an older one.
        .filter(|number| arch != Arch::Arm || *number < 0xf0000)
        .max()
}

/// Leaves out what only one of both knows: tables are of different age.
fn common(mut profile: Seccomp, archs: &[Arch]) -> Seccomp {
    for rule in &mut profile.syscalls {
        rule.names.retain(|name| {
            ScmpSyscall::from_name(name).is_ok()
                && archs.iter().all(|arch| {
                    arch.number(name) == their_number(name, *arch)
                        || arch.multiplexer(name).is_some()
                })
        });
    }
    profile
}

/// Compares both for every call; the number of comparisons.
fn compare(profile: Seccomp, archs: &[Arch]) -> usize {
    let family: &[Arch] = if archs[0] == Arch::Aarch64 {
        &ARM
    } else {
        &X86
    };
    let mut profile = common(profile, archs);
    profile.architectures = archs.iter().map(|arch| word(*arch).to_owned()).collect();
    let ours = compile_for(&profile, archs[0]).unwrap();
    let theirs = theirs(&profile, archs);
    let values = values(&profile);
    let newest: Vec<_> = family.iter().map(|arch| newest(&profile, *arch)).collect();
    let mut compared = 0;
    for &arch in family {
        let conditional = conditional(&profile, arch);
        let numbers = (arch.base()..arch.base() + 520).chain([
            arch.base() + 100_000,
            0xf0000 | arch.base(),
            0xf0005 | arch.base(),
            X32_BIT - 1,
            u32::MAX - 1,
        ]);
        for number in numbers {
            let values = if conditional.contains(&number) {
                values.as_slice()
            } else {
                &[0]
            };
            for (position, value) in values.iter().enumerate() {
                let other = values[(position + 1) % values.len()];
                for index in 0..6 {
                    let mut arguments = [other; 6];
                    arguments[index] = *value;
                    let call = Call {
                        arch: arch.audit(),
                        number,
                        arguments,
                    };
                    let our_answer = run(ours.program(), call).unwrap();
                    // The same to the kernel but for one bit.
                    let meant = match arch {
                        Arch::X86_64 | Arch::X32 if number & X32_BIT != 0 => Arch::X32,
                        Arch::X86_64 | Arch::X32 => Arch::X86_64,
                        other => other,
                    };
                    let listed = archs.contains(&meant);
                    let their_answer =
                        match newest[family.iter().position(|arch| *arch == meant).unwrap()] {
                            Some(newest)
                                if listed
                                && number > newest
                                // 32-bit ARM's own calls, which the profile names though they are far above.
                                && about(&profile, arch, number).is_empty() =>
                            {
                                ENOSYS
                            }
                            _ => run(&theirs, call).unwrap(),
                        };
                    // See the module: of an architecture that is not listed we end the whole process.
                    let same = our_answer == their_answer
                        || (!listed && (our_answer, their_answer) == (KILL_PROCESS, KILL_THREAD));
                    assert!(
                        same,
                        "{arch:?} {call:x?} ours {our_answer:#x} theirs {their_answer:#x}\n{:?}",
                        about(&profile, arch, number)
                    );
                    compared += 1;
                }
            }
        }
    }
    compared
}

fn about(profile: &Seccomp, arch: Arch, number: u32) -> Vec<&SyscallRule> {
    let rules = profile.syscalls.iter();
    rules
        .filter(|rule| {
            let mut names = rule.names.iter();
            names.any(|name| {
                arch.number(name) == Some(number)
                    || arch
                        .multiplexer(name)
                        .is_some_and(|(call, _)| call == number)
            })
        })
        .collect()
}

/// The calls whose arguments matter.
fn conditional(profile: &Seccomp, arch: Arch) -> BTreeSet<u32> {
    let mut calls = BTreeSet::new();
    for rule in &profile.syscalls {
        for name in &rule.names {
            if let Some((call, _)) = arch.multiplexer(name) {
                calls.insert(call);
            }
            if let Some(number) = arch.number(name).filter(|_| !rule.args.is_empty()) {
                calls.insert(number);
            }
        }
    }
    calls
}

/// Values on all sides of those in the rules.
fn values(profile: &Seccomp) -> Vec<u64> {
    let mut values: Vec<u64> = (0..26).collect();
    values.extend(INTERESTING);
    for argument in profile.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [
            argument.value,
            argument.value_two,
            argument.value & argument.value_two,
        ] {
            values.extend([value.wrapping_sub(1), value, value.wrapping_add(1), !value]);
            // The same in one half only.
            values.extend([
                value & 0xffff_ffff,
                value | 0xffff_ffff_0000_0000,
                value.rotate_left(32),
            ]);
        }
    }
    values.sort_unstable();
    values.dedup();
    values
}

const INTERESTING: [u64; 8] = [
    40,
    0x7e02_0000,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0010,
    1 << 63,
    u64::MAX,
];

fn docker() -> Seccomp {
    let spec: Spec = serde_json::from_str(include_str!("bundles/docker.json")).unwrap();
    spec.linux.unwrap().seccomp.unwrap()
}

/// Podman's profile for a container with these capabilities, as Podman writes it into `config.json`.
fn podman(capabilities: &[&str], arch: &str) -> Seccomp {
    let profile: Value = serde_json::from_str(include_str!("bundles/podman-seccomp.json")).unwrap();
    let has = |set: &Value, key: &str, given: &[&str], all: bool| {
        let listed = set[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut listed = listed
            .iter()
            .map(|word| given.contains(&word.as_str().unwrap()));
        if all {
            listed.all(|given| given)
        } else {
            listed.any(|given| given)
        }
    };
    let no_arches = |set: &Value| set["arches"].as_array().is_none_or(Vec::is_empty);
    let rules = profile["syscalls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| {
            let (includes, excludes) = (&rule["includes"], &rule["excludes"]);
            has(includes, "caps", capabilities, true)
                && (no_arches(includes) || has(includes, "arches", &[arch], false))
                && !has(excludes, "caps", capabilities, false)
                && !has(excludes, "arches", &[arch], false)
        });
    Seccomp {
        default_action: profile["defaultAction"].as_str().unwrap().to_owned(),
        default_errno_ret: Some(
            profile["defaultErrnoRet"]
                .as_u64()
                .unwrap()
                .try_into()
                .unwrap(),
        ),
        syscalls: rules
            .map(|rule| serde_json::from_value(rule.clone()).unwrap())
            .collect(),
        ..Seccomp::default()
    }
}

#[test]
fn system_calls_have_the_numbers_that_libseccomp_has() {
    for arch in X86.into_iter().chain(ARM) {
        let mut known = 0;
        for (name, number) in arch.calls() {
            if let Some(theirs) = their_number(name, arch) {
                assert_eq!(number, theirs, "{arch:?} {name}");
                known += 1;
            }
        }
        assert!(known > 280, "{arch:?} {known}");
    }
}

#[test]
fn dockers_profile_is_what_libseccomp_makes_of_it() {
    let mut compared = 0;
    for archs in [
        &X86[..],
        &X86[..1],
        &X86[..2],
        &[Arch::X86_64, Arch::X32],
        &ARM,
        &ARM[..1],
    ] {
        compared += compare(docker(), archs);
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn podmans_profile_is_what_libseccomp_makes_of_it() {
    let default = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_CHROOT",
    ];
    let mut more = default.to_vec();
    more.extend(["CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE"]);
    for capabilities in [&default[..], &more] {
        let profile = podman(capabilities, "amd64");
        assert!(profile.syscalls.len() > 15, "{}", profile.syscalls.len());
        compare(profile, &X86);
        compare(podman(capabilities, "arm64"), &ARM);
    }
}

fn argument() -> impl Strategy<Value = SyscallArgument> {
    let ops = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let value = || {
        prop_oneof![
            prop::sample::select(INTERESTING.to_vec()),
            0..32_u64,
            any::<u64>()
        ]
    };
    (
        0..6_u32,
        value(),
        value(),
        prop::sample::select(ops.to_vec()),
    )
        .prop_map(|(index, value, value_two, op)| SyscallArgument {
            index,
            value,
            value_two,
            op: format!("SCMP_CMP_{op}"),
        })
}

/// Rules with one action for each call, and of several about one call only such as ask whether an argument has a value: of
/// others libseccomp 2.5 loses some (of `a < 1 << 32` or `a < 40` it refuses 40), and with several actions it has an order of
/// its own. What ours makes of those is held against a plain reading of the rules in `src/seccomp/check.rs`.
fn rules() -> impl Strategy<Value = Vec<SyscallRule>> {
    // Each of them is a call of every architecture: for others 2.5 can forget to load the number.
    let names = [
        "read",
        "write",
        "socket",
        "connect",
        "accept4",
        "clone",
        "personality",
        "openat2",
        "execve",
        "shmget",
        "semctl",
        "prctl",
        "ioctl",
        "ftruncate",
        "dup3",
        "unshare",
        "setns",
        "clone3",
    ];
    let actions = [
        "ALLOW",
        "ERRNO",
        "LOG",
        "KILL",
        "KILL_PROCESS",
        "TRAP",
        "TRACE",
        "NOTIFY",
    ];
    let conditions = prop_oneof![
        // All of these, one for each argument.
        prop::collection::vec(argument(), 0..4).prop_map(|mut arguments| {
            let mut seen = [false; 6];
            arguments
                .retain(|argument| !std::mem::replace(&mut seen[argument.index as usize], true));
            vec![arguments]
        }),
        // Any of these values of one argument.
        (0..6_u32, prop::collection::vec(0..1_u64 << 33, 1..4)).prop_map(|(index, values)| {
            let equal = |value| SyscallArgument {
                index,
                value,
                value_two: 0,
                op: "SCMP_CMP_EQ".into(),
            };
            values.into_iter().map(|value| vec![equal(value)]).collect()
        }),
        // The same as one rule, which runc takes apart.
        (0..6_u32, prop::collection::vec(0..1_u64 << 33, 2..4)).prop_map(|(index, values)| {
            let equal = |value| SyscallArgument {
                index,
                value,
                value_two: 0,
                op: "SCMP_CMP_EQ".into(),
            };
            vec![values.into_iter().map(equal).collect()]
        }),
    ];
    let group = (
        prop::sample::select(names.to_vec()),
        prop::sample::select(actions.to_vec()),
        0..200_u32,
        conditions,
    );
    prop::collection::vec(group, 1..6).prop_map(|groups| {
        let mut taken = BTreeSet::new();
        let mut all = Vec::new();
        for (name, action, errno, alternatives) in groups {
            if action == "NOTIFY" && name == "write" || !taken.insert(name) {
                continue;
            }
            all.extend(alternatives.into_iter().map(|args| SyscallRule {
                names: vec![name.to_owned()],
                action: format!("SCMP_ACT_{action}"),
                errno_ret: ["ERRNO", "TRACE"].contains(&action).then_some(errno),
                args,
            }));
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_profiles_are_what_libseccomp_makes_of_them(
        syscalls in rules(),
        default in prop::sample::select(vec!["ALLOW", "ERRNO", "KILL_PROCESS", "LOG", "TRAP"]),
        archs in prop::sample::select(vec![&X86[..], &X86[..1], &X86[..2], &ARM[..]]),
    ) {
        compare(Seccomp {
            default_action: format!("SCMP_ACT_{default}"),
            listener_path: "/run/agent.sock".into(),
            syscalls,
            ..Seccomp::default()
        }, archs);
    }
}
