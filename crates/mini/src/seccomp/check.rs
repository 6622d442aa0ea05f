//! The compiled programs, run as the kernel runs them, against the rules read one by one. Against libseccomp they are held in
//! `tests/libseccomp.rs`.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sys::seccomp::Instruction;

use super::arch::{Arch, X32_BIT};
use super::interpret::{self, Call};
use super::rules::Action;
use super::{Filter, compile, compile_for};
use crate::error::ErrorKind;
use crate::spec::{Seccomp, Spec, SyscallArgument, SyscallRule};

fn run(program: &[Instruction], call: Call) -> u32 {
    interpret::run(program, call).unwrap()
}

fn holds(argument: &SyscallArgument, call: Call, wide: bool) -> bool {
    let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let have = cut(call.arguments[usize::try_from(argument.index).unwrap()]);
    let value = cut(argument.value);
    match argument.op.as_str() {
        "SCMP_CMP_NE" => have != value,
        "SCMP_CMP_LT" => have < value,
        "SCMP_CMP_LE" => have <= value,
        "SCMP_CMP_EQ" => have == value,
        "SCMP_CMP_GE" => have >= value,
        "SCMP_CMP_GT" => have > value,
        "SCMP_CMP_MASKED_EQ" => have & value == cut(argument.value_two) & value,
        other => panic!("{other}"),
    }
}

fn action(rule: &SyscallRule) -> u32 {
    Action::of_name(&rule.action, rule.errno_ret).unwrap().0
}

/// The rules of one architecture, read as runc hands them to libseccomp.
struct Reading {
    arch: Arch,
    default: Action,
    rules: Vec<(BTreeSet<u32>, SyscallRule)>,
    newest: Option<u32>,
}

impl Reading {
    fn new(filter: &Seccomp, arch: Arch) -> Self {
        let default = Action::of_name(&filter.default_action, filter.default_errno_ret).unwrap();
        let mut rules = Vec::new();
        for rule in filter
            .syscalls
            .iter()
            .filter(|rule| action(rule) != default.0)
        {
            let numbers = rule.names.iter().filter_map(|name| arch.number(name));
            rules.push((numbers.collect(), rule.clone()));
            for (number, which) in rule.names.iter().filter_map(|name| arch.multiplexer(name)) {
                rules.extend(multiplexed(rule, which).map(|rule| (BTreeSet::from([number]), rule)));
            }
        }
        let named = filter.syscalls.iter().flat_map(|rule| &rule.names);
        Self {
            arch,
            default,
            rules,
            newest: named.filter_map(|name| arch.number(name)).max(),
        }
    }

    fn about(&self, number: u32) -> impl Iterator<Item = &SyscallRule> {
        self.rules
            .iter()
            .filter(move |(numbers, _)| numbers.contains(&number))
            .map(|(_, rule)| rule)
    }

    fn expected(&self, call: Call) -> u32 {
        if let Some(rule) = self.about(call.number).find(|rule| rule.args.is_empty()) {
            return action(rule);
        }
        for rule in self.about(call.number) {
            let repeated = is_repeated(rule);
            let wide = self.arch.is_64_bit();
            let mut results = rule.args.iter().map(|argument| holds(argument, call, wide));
            let matches = if repeated {
                results.any(|holds| holds)
            } else {
                results.all(|holds| holds)
            };
            if matches {
                return action(rule);
            }
        }
        match self.newest {
            Some(newest) if call.number > newest && !self.default.permits() => {
                Action::NO_SUCH_CALL.0
            }
            _ => self.default.0,
        }
    }
}

fn is_repeated(rule: &SyscallRule) -> bool {
    rule.args.iter().enumerate().any(|(position, argument)| {
        rule.args[..position]
            .iter()
            .any(|earlier| earlier.index == argument.index)
    })
}

/// A rule about a call as it is about the one that it can be made by.
fn multiplexed(rule: &SyscallRule, which: u64) -> impl Iterator<Item = SyscallRule> {
    let alternatives = if is_repeated(rule) {
        rule.args
            .iter()
            .map(|argument| vec![argument.clone()])
            .collect()
    } else {
        vec![rule.args.clone()]
    };
    alternatives.into_iter().map(move |mut args: Vec<_>| {
        args.retain(|argument| argument.index != 0);
        args.push(SyscallArgument {
            index: 0,
            value: which,
            value_two: 0,
            op: "SCMP_CMP_EQ".into(),
        });
        SyscallRule {
            args,
            ..rule.clone()
        }
    })
}

const INTERESTING: [u64; 10] = [
    0,
    1,
    2,
    16,
    40,
    0x7e02_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0010,
    u64::MAX,
];

/// Each call of each architecture of a filter, with values on all sides of those in its rules.
fn check(filter: &Seccomp) {
    let program = compile(filter).unwrap();
    let mut values: Vec<u64> = INTERESTING.into();
    for argument in filter.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [argument.value, argument.value_two] {
            values.extend([value.wrapping_sub(1), value, value.wrapping_add(1)]);
        }
    }
    values.sort_unstable();
    values.dedup();
    let mut archs = vec![Arch::NATIVE];
    archs.extend(
        filter
            .architectures
            .iter()
            .filter_map(|name| Arch::of_name(name, Arch::NATIVE).unwrap()),
    );
    for arch in archs {
        let base = if arch == Arch::X32 { X32_BIT } else { 0 };
        let reading = Reading::new(filter, arch);
        for number in (base..base + 560).chain([base + 100_000]) {
            let conditional = reading.about(number).any(|rule| !rule.args.is_empty());
            let values = if conditional {
                values.as_slice()
            } else {
                &INTERESTING[..1]
            };
            // Each argument in turn; the others are another value.
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
                    let answer = run(program.program(), call);
                    assert_eq!(answer, reading.expected(call), "{arch:?} {call:x?}");
                }
            }
        }
    }
    let foreign = Call {
        arch: 0xdead,
        number: 0,
        arguments: [0; 6],
    };
    assert_eq!(run(program.program(), foreign), Action::KILL_PROCESS.0);
}

#[test]
fn dockers_profile_means_what_its_rules_say() {
    let spec: Spec = serde_json::from_str(include_str!("../../tests/bundles/docker.json")).unwrap();
    let filter = spec.linux.unwrap().seccomp.unwrap();
    check(&filter);
    // Short enough that a start does not feel it, and the same after its way to another process.
    let program = compile(&filter).unwrap();
    let decoded = Filter::decode(&program.encode()).unwrap();
    assert_eq!(decoded.program(), program.program());
    assert!(Filter::decode(&program.encode()[1..]).is_none());
    assert!(program.program().len() < 1500, "{}", program.describe());
}

#[test]
fn calls_of_x32_are_refused_where_only_x86_64_is_asked_for() {
    let filter = Seccomp {
        default_action: "SCMP_ACT_ALLOW".into(),
        ..Seccomp::default()
    };
    let program = compile(&filter).unwrap();
    let native = Call {
        arch: Arch::NATIVE.audit(),
        number: 1,
        arguments: [0; 6],
    };
    assert_eq!(run(program.program(), native), Action::ALLOW.0);
    if Arch::NATIVE == Arch::X86_64 {
        let x32 = Call {
            number: X32_BIT + 1,
            ..native
        };
        assert_eq!(run(program.program(), x32), Action::KILL_PROCESS.0);
    }
}

fn notifying(name: &str) -> Seccomp {
    Seccomp {
        default_action: "SCMP_ACT_ALLOW".into(),
        listener_path: "/run/agent.sock".into(),
        syscalls: vec![SyscallRule {
            names: vec![name.into()],
            action: "SCMP_ACT_NOTIFY".into(),
            ..SyscallRule::default()
        }],
        ..Seccomp::default()
    }
}

#[test]
fn what_a_supervisor_cannot_be_asked_is_refused() {
    let words = |profile: &Seccomp| {
        let error = compile(profile).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let write = words(&notifying("write"));
    assert!(
        write.contains("SCMP_ACT_NOTIFY cannot be used for the write syscall"),
        "{write}"
    );
    let mut all = notifying("mkdir");
    all.default_action = "SCMP_ACT_NOTIFY".into();
    assert!(words(&all).contains("cannot be used as default action"));
    let mut nobody = notifying("mkdir");
    nobody.listener_path.clear();
    assert!(words(&nobody).contains("listenerPath is not set"));
    let mut waiting = notifying("mkdir");
    waiting.syscalls.clear();
    waiting.flags = Some(vec!["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV".into()]);
    assert!(words(&waiting).contains("WAIT_KILLABLE_RECV needs"));
}

#[test]
fn flags_are_those_that_runc_gives_the_kernel() {
    let flags = |names: Option<&[&str]>| {
        let mut profile = notifying("mkdir");
        profile.flags = names.map(|names| {
            names
                .iter()
                .map(|name| format!("SECCOMP_FILTER_FLAG_{name}"))
                .collect()
        });
        compile(&profile).unwrap().flags()
    };
    assert_eq!(flags(None), 8 + 4);
    assert_eq!(flags(Some(&[])), 8);
    assert_eq!(flags(Some(&["TSYNC", "LOG"])), 8 + 2);
    assert_eq!(flags(Some(&["WAIT_KILLABLE_RECV"])), 8 + 32);
    let unknown = Seccomp {
        flags: Some(vec!["SECCOMP_FILTER_FLAG_NEW".into()]),
        ..notifying("mkdir")
    };
    assert_eq!(
        compile(&unknown).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    assert!(compile(&notifying("mkdir")).unwrap().has_listener());
}

#[test]
fn a_listed_call_is_known_whatever_is_said_about_it() {
    // As runc: what the profile names is not newer than the profile, even where the default is said.
    let rule = |name: &str, action: &str| SyscallRule {
        names: vec![name.into()],
        action: action.into(),
        ..SyscallRule::default()
    };
    let profile = Seccomp {
        default_action: "SCMP_ACT_ERRNO".into(),
        syscalls: vec![
            rule("read", "SCMP_ACT_ALLOW"),
            rule("clone3", "SCMP_ACT_ERRNO"),
        ],
        ..Seccomp::default()
    };
    let program = compile(&profile).unwrap();
    let answer = |number| {
        let call = Call {
            arch: Arch::NATIVE.audit(),
            number,
            arguments: [0; 6],
        };
        run(program.program(), call)
    };
    let clone3 = Arch::NATIVE.number("clone3").unwrap();
    assert_eq!(answer(clone3), 0x0005_0001);
    assert_eq!(answer(clone3 + 1), Action::NO_SUCH_CALL.0);
}

#[test]
fn programs_for_the_other_machine_are_right_too() {
    let spec: Spec = serde_json::from_str(include_str!("../../tests/bundles/docker.json")).unwrap();
    let mut profile = spec.linux.unwrap().seccomp.unwrap();
    profile.architectures = vec!["SCMP_ARCH_ARM".into()];
    let program = compile_for(&profile, Arch::Aarch64).unwrap();
    for (arch, name) in [
        (Arch::Aarch64, "openat"),
        (Arch::Arm, "open"),
        (Arch::Arm, "openat"),
    ] {
        let call = Call {
            arch: arch.audit(),
            number: arch.number(name).unwrap(),
            arguments: [0; 6],
        };
        assert_eq!(
            run(program.program(), call),
            Action::ALLOW.0,
            "{arch:?} {name}"
        );
        let far = Call {
            number: 0xe0000,
            ..call
        };
        assert_eq!(
            run(program.program(), far),
            Action::NO_SUCH_CALL.0,
            "{arch:?}"
        );
    }
}

fn argument() -> impl Strategy<Value = SyscallArgument> {
    let ops = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];
    let value = || prop_oneof![prop::sample::select(INTERESTING.to_vec()), any::<u64>()];
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
            op: op.into(),
        })
}

fn rule() -> impl Strategy<Value = SyscallRule> {
    let names = [
        "read",
        "write",
        "socket",
        "socketcall",
        "clone",
        "personality",
        "openat2",
        "execve",
    ];
    let actions = [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_LOG",
        "SCMP_ACT_KILL",
    ];
    (
        prop::collection::vec(prop::sample::select(names.to_vec()), 1..4),
        prop::sample::select(actions.to_vec()),
        prop::collection::vec(argument(), 0..4),
    )
        .prop_map(|(names, action, args)| SyscallRule {
            names: names.into_iter().map(str::to_owned).collect(),
            action: action.into(),
            errno_ret: None,
            args,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_filter_means_what_its_rules_say(
        rules in prop::collection::vec(rule(), 0..6),
        default in prop::sample::select(vec!["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]),
        wide in any::<bool>(),
    ) {
        let architectures = if Arch::NATIVE == Arch::X86_64 && wide {
            vec!["SCMP_ARCH_X86_64".into(), "SCMP_ARCH_X86".into(), "SCMP_ARCH_X32".into()]
        } else {
            Vec::new()
        };
        check(&Seccomp { default_action: default.into(), architectures, syscalls: rules, ..Seccomp::default() });
    }
}
