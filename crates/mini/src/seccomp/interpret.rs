//! The compiled programs, run as the kernel runs them, against the rules read one by one.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sys::seccomp::Instruction;

use super::arch::{Arch, X32_BIT};
use super::rules::Action;
use super::{Filter, compile};
use crate::spec::{Seccomp, Spec, SyscallArgument, SyscallRule};

/// A system call as a filter sees it.
#[derive(Clone, Copy, Debug)]
struct Call {
    arch: u32,
    number: u32,
    arguments: [u64; 6],
}

/// Runs a program; the value that it returns. Panics where the kernel would have refused the program.
fn run(program: &[Instruction], call: Call) -> u32 {
    let word = |offset: u32| -> u32 {
        assert_eq!(offset % 4, 0);
        match offset {
            0 => call.number,
            4 => call.arch,
            16..64 => {
                let argument = call.arguments[usize::try_from((offset - 16) / 8).unwrap()];
                let high = (offset - 16) % 8 == if cfg!(target_endian = "big") { 0 } else { 4 };
                u32::try_from(if high {
                    argument >> 32
                } else {
                    argument & 0xffff_ffff
                })
                .unwrap()
            }
            _ => panic!("load from {offset}"),
        }
    };
    let (mut position, mut accumulator) = (0, 0);
    loop {
        let instruction = program[position];
        position += 1;
        let operand = instruction.operand;
        let branch = |holds: bool| {
            usize::from(if holds {
                instruction.jump_true
            } else {
                instruction.jump_false
            })
        };
        match instruction.code {
            0x20 => accumulator = word(operand),
            0x54 => accumulator &= operand,
            0x05 => position += usize::try_from(operand).unwrap(),
            0x15 => position += branch(accumulator == operand),
            0x25 => position += branch(accumulator > operand),
            0x35 => position += branch(accumulator >= operand),
            0x06 => return operand,
            other => panic!("operation {other:#x}"),
        }
    }
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
struct Reading<'a> {
    arch: Arch,
    default: Action,
    rules: Vec<(BTreeSet<u32>, &'a SyscallRule)>,
}

impl<'a> Reading<'a> {
    fn new(filter: &'a Seccomp, arch: Arch) -> Self {
        let default = Action::of_name(&filter.default_action, filter.default_errno_ret).unwrap();
        let rules = filter
            .syscalls
            .iter()
            .filter(|rule| action(rule) != default.0)
            .map(|rule| {
                let numbers = rule.names.iter().filter_map(|name| arch.number(name));
                (numbers.collect(), rule)
            })
            .collect();
        Self {
            arch,
            default,
            rules,
        }
    }

    fn about(&self, number: u32) -> impl Iterator<Item = &'a SyscallRule> {
        self.rules
            .iter()
            .filter(move |(numbers, _)| numbers.contains(&number))
            .map(|(_, rule)| *rule)
    }

    fn expected(&self, call: Call) -> u32 {
        if let Some(rule) = self.about(call.number).find(|rule| rule.args.is_empty()) {
            return action(rule);
        }
        for rule in self.about(call.number) {
            let repeated = rule.args.iter().enumerate().any(|(position, argument)| {
                rule.args[..position]
                    .iter()
                    .any(|earlier| earlier.index == argument.index)
            });
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
        let newest = self
            .rules
            .iter()
            .filter_map(|(numbers, _)| numbers.last())
            .max();
        match newest {
            Some(&newest) if call.number > newest && !self.default.permits() => {
                Action::NO_SUCH_CALL.0
            }
            _ => self.default.0,
        }
    }
}

const INTERESTING: [u64; 9] = [
    0,
    1,
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
            .filter_map(|name| Arch::of_name(name).unwrap()),
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
