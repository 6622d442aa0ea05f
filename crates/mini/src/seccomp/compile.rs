//! From rules to a program.
//!
//! There is no cache of programs, and so none that could be poisoned: for Docker's profile (357 names, three architectures, 327
//! instructions) this takes 0.06 ms, 0.12 ms the first time in a process, which every start is (release build, x86-64 of 2026).
//! Reading and checking a file would take as long. The parent compiles while the child
//! mounts, which takes longer.

use super::arch::{Arch, X32_BIT};
use super::assemble::{Assembler, Place, Test};
use super::filter::Filter;
use super::rules::{self, Action, CallRules, CallTable, Comparison, Condition, Rule};
use crate::error::{Error, Result};
use crate::spec;

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The kernel takes no longer program (`BPF_MAXINSNS`).
pub(super) const MAX_INSTRUCTIONS: usize = 4096;

/// Compiles a profile for this machine.
///
/// A call that is newer than all that the profile names answers `ENOSYS`, so that programs fall back to an older one instead
/// of taking the refusal for a failure; unless the profile permits by default. Source: runc's `patchbpf`.
///
/// # Errors
/// `Invalid`, `Unsupported`.
pub fn compile(profile: &spec::Seccomp) -> Result<Filter> {
    compile_for(profile, Arch::NATIVE)
}

/// Compiles a profile for the kernel of an architecture.
///
/// # Errors
/// As [`compile`].
pub fn compile_for(profile: &spec::Seccomp, native: Arch) -> Result<Filter> {
    let default = Action::of_name(&profile.default_action, profile.default_errno_ret)?;
    let rules = rules::parse(profile, native)?;
    let mut archs = vec![native];
    for name in &profile.architectures {
        match Arch::of_name(name, native)? {
            Some(arch) if !archs.contains(&arch) => archs.push(arch),
            _ => {}
        }
    }
    let flags = flags(profile, &rules, default)?;
    let mut assembler = Assembler::default();
    let bad_arch = assembler.end_with(Action::KILL_PROCESS);
    let mut next_arch = bad_arch;
    for &arch in archs.iter().filter(|arch| **arch != Arch::X32) {
        let mut entry = section(&mut assembler, &rules, arch, default);
        if arch == Arch::X86_64 {
            let x32 = if archs.contains(&Arch::X32) {
                section(&mut assembler, &rules, Arch::X32, default)
            } else {
                assembler.end_with(Action::KILL_PROCESS)
            };
            entry = assembler.branch(Test::GreaterOrEqual, X32_BIT, x32, entry);
        }
        let entry = assembler.load(NUMBER, entry);
        next_arch = assembler.branch(Test::Equal, arch.audit(), entry, next_arch);
    }
    let start = assembler.load(ARCH, next_arch);
    let program = assembler.finish(start);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Error::invalid(format!(
            "linux.seccomp: the filter has {} instructions, the kernel takes {MAX_INSTRUCTIONS}",
            program.len()
        ))
        .with_hint("join rules, or turn the list round: name what is forbidden"));
    }
    Ok(Filter::new(program, flags))
}

/// The kernel's flags: those that the profile asks for, and a listener when some call is to ask it.
///
/// Without a list the mitigation against speculative store bypass is left as it is, as runc and the kernel since 5.16 have
/// it; an empty list means none.
fn flags(profile: &spec::Seccomp, rules: &[Rule<'_>], default: Action) -> Result<u32> {
    let mut flags = 0;
    match &profile.flags {
        None => flags = sys::seccomp::FLAG_SPEC_ALLOW,
        Some(names) => {
            for name in names {
                flags |= match name.as_str() {
                    // There is one thread only, and none of another program lives on after `execve`.
                    "SECCOMP_FILTER_FLAG_TSYNC" => 0,
                    "SECCOMP_FILTER_FLAG_LOG" => sys::seccomp::FLAG_LOG,
                    "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => sys::seccomp::FLAG_SPEC_ALLOW,
                    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                        sys::seccomp::FLAG_WAIT_KILLABLE_RECV
                    }
                    other => {
                        return Err(Error::unsupported(format!(
                            "linux.seccomp.flags: seccomp flag {other} is not known to mini"
                        ))
                        .with_hint("mini features lists those that are"));
                    }
                }
            }
        }
    }
    if default == Action::NOTIFY {
        return Err(Error::invalid(
            "linux.seccomp: SCMP_ACT_NOTIFY cannot be used as default action",
        )
        .with_hint("name the calls that the supervisor is to be asked about"));
    }
    // The listener's number goes to the parent by `write`, when the filter holds already and nobody can answer yet.
    if rules.iter().any(|rule| rule.notifies("write")) {
        return Err(Error::invalid(
            "linux.seccomp: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        )
        .with_hint("take write out of the rule: the listener itself is told of by it"));
    }
    if rules.iter().any(Rule::is_notify) {
        if profile.listener_path.is_empty() {
            return Err(Error::invalid("linux.seccomp: listenerPath is not set")
                .with_hint("SCMP_ACT_NOTIFY needs a supervisor that listens on a unix socket"));
        }
        flags |= sys::seccomp::FLAG_NEW_LISTENER;
    } else if flags & sys::seccomp::FLAG_WAIT_KILLABLE_RECV != 0 {
        return Err(Error::invalid(
            "linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
        ).with_hint("leave the flag out, or add such a rule"));
    }
    Ok(flags)
}

/// Calls from `first` on, up to the next segment, that are treated alike.
#[derive(Clone, Debug)]
struct Segment {
    first: u32,
    rules: CallRules,
}

/// The search over one architecture's calls; the accumulator holds the call's number at its entry.
fn section(assembler: &mut Assembler, rules: &[Rule<'_>], arch: Arch, default: Action) -> Place {
    let table = CallTable::of(rules, arch, default);
    let segments = segments(table, arch, default);
    search(assembler, &segments, arch, default)
}

fn segments(table: CallTable, arch: Arch, default: Action) -> Vec<Segment> {
    let plain = |first, action| Segment {
        first,
        rules: CallRules {
            conditional: Vec::new(),
            always: Some(action),
        },
    };
    // Past the newest call that the profile knows.
    let beyond = match table.newest {
        Some(newest) if !default.permits() => Some(newest + 1),
        _ => None,
    };
    let mut segments = Vec::with_capacity(2 * table.calls.len() + 2);
    let mut next = arch.base();
    let gap = |segments: &mut Vec<Segment>, from: u32, to: Option<u32>| {
        let reaches = |number: u32| to.is_none_or(|to| number < to);
        match beyond {
            Some(beyond) => {
                if from < beyond {
                    segments.push(plain(from, default));
                }
                if reaches(beyond.max(from)) {
                    segments.push(plain(beyond.max(from), Action::NO_SUCH_CALL));
                }
            }
            None => segments.push(plain(from, default)),
        }
    };
    for (number, mut rules) in table.calls {
        if number > next {
            gap(&mut segments, next, Some(number));
        }
        if rules.always.is_some() {
            rules.conditional.clear();
        }
        segments.push(Segment {
            first: number,
            rules,
        });
        next = number + 1;
    }
    gap(&mut segments, next, None);
    segments.dedup_by(|later, earlier| {
        later.rules == earlier.rules && later.rules.conditional.is_empty()
    });
    segments
}

fn search(assembler: &mut Assembler, segments: &[Segment], arch: Arch, default: Action) -> Place {
    match segments {
        [] => assembler.end_with(default),
        [segment] => leaf(assembler, &segment.rules, arch, default),
        _ => {
            let (left, right) = segments.split_at(segments.len() / 2);
            let pivot = right.first().map_or(u32::MAX, |segment| segment.first);
            let right = search(assembler, right, arch, default);
            let left = search(assembler, left, arch, default);
            assembler.branch(Test::GreaterOrEqual, pivot, right, left)
        }
    }
}

fn leaf(assembler: &mut Assembler, rules: &CallRules, arch: Arch, default: Action) -> Place {
    let mut next = assembler.end_with(rules.always.unwrap_or(default));
    for (conditions, action) in rules.conditional.iter().rev() {
        let mut holds = assembler.end_with(*action);
        for condition in conditions.iter().rev() {
            holds = test(assembler, *condition, arch, holds, next);
        }
        next = holds;
    }
    next
}

/// Compares an argument in two halves, the kernel's words being of 32 bits.
fn test(
    assembler: &mut Assembler,
    condition: Condition,
    arch: Arch,
    yes: Place,
    no: Place,
) -> Place {
    let low_offset =
        ARGUMENTS + 8 * condition.index + if cfg!(target_endian = "big") { 4 } else { 0 };
    let high_offset = low_offset ^ 4;
    let (high, low) = halves(condition.value);
    let wide = arch.is_64_bit();
    match condition.comparison {
        Comparison::Equal => equal(
            assembler,
            (high_offset, high),
            (low_offset, low),
            wide,
            (yes, no),
        ),
        Comparison::NotEqual => equal(
            assembler,
            (high_offset, high),
            (low_offset, low),
            wide,
            (no, yes),
        ),
        Comparison::Greater => greater(
            assembler,
            Test::Greater,
            (high_offset, high),
            (low_offset, low),
            wide,
            (yes, no),
        ),
        Comparison::LessOrEqual => greater(
            assembler,
            Test::Greater,
            (high_offset, high),
            (low_offset, low),
            wide,
            (no, yes),
        ),
        Comparison::GreaterOrEqual => greater(
            assembler,
            Test::GreaterOrEqual,
            (high_offset, high),
            (low_offset, low),
            wide,
            (yes, no),
        ),
        Comparison::Less => greater(
            assembler,
            Test::GreaterOrEqual,
            (high_offset, high),
            (low_offset, low),
            wide,
            (no, yes),
        ),
        Comparison::MaskedEqual { mask } => {
            let (high_mask, low_mask) = halves(mask);
            let mut place = yes;
            if low_mask != 0 {
                place = assembler.branch(Test::Equal, low & low_mask, place, no);
                if low_mask != u32::MAX {
                    place = assembler.and(low_mask, place);
                }
                place = assembler.load(low_offset, place);
            }
            if high_mask != 0 && wide {
                place = assembler.branch(Test::Equal, high & high_mask, place, no);
                if high_mask != u32::MAX {
                    place = assembler.and(high_mask, place);
                }
                place = assembler.load(high_offset, place);
            }
            place
        }
    }
}

fn equal(
    assembler: &mut Assembler,
    (high_offset, high): (u32, u32),
    (low_offset, low): (u32, u32),
    wide: bool,
    (yes, no): (Place, Place),
) -> Place {
    let mut place = assembler.branch(Test::Equal, low, yes, no);
    place = assembler.load(low_offset, place);
    if wide {
        place = assembler.branch(Test::Equal, high, place, no);
        place = assembler.load(high_offset, place);
    }
    place
}

fn greater(
    assembler: &mut Assembler,
    last: Test,
    (high_offset, high): (u32, u32),
    (low_offset, low): (u32, u32),
    wide: bool,
    (yes, no): (Place, Place),
) -> Place {
    let mut place = assembler.branch(last, low, yes, no);
    place = assembler.load(low_offset, place);
    if wide {
        place = assembler.branch(Test::Equal, high, place, no);
        place = assembler.branch(Test::Greater, high, yes, place);
        place = assembler.load(high_offset, place);
    }
    place
}

/// The high and the low word.
fn halves(value: u64) -> (u32, u32) {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (half(value >> 32), half(value))
}
