//! From rules to a program.

use std::collections::BTreeMap;

use sys::seccomp::Instruction;

use super::arch::{Arch, X32_BIT};
use super::assemble::{Assembler, Place, Test};
use super::rules::{Action, CallRules, Comparison, Condition, by_number};
use crate::error::{Error, Result};
use crate::spec;

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The kernel takes no longer program (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Filter {
    program: Vec<Instruction>,
    flags: u32,
}

impl Filter {
    /// Puts this process under the filter.
    ///
    /// # Errors
    /// `Sys`.
    pub fn load(&self) -> Result<()> {
        sys::seccomp::load(&self.program, self.flags)
            .map_err(|error| Error::sys("load", "the seccomp filter", error))
    }

    /// The filter as bytes, for [`Filter::decode`] in a process of the same machine.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 8 * self.program.len());
        bytes.extend(self.flags.to_ne_bytes());
        for instruction in &self.program {
            bytes.extend(instruction.code.to_ne_bytes());
            bytes.extend([instruction.jump_true, instruction.jump_false]);
            bytes.extend(instruction.operand.to_ne_bytes());
        }
        bytes
    }

    /// The filter that was encoded; [`None`] for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first_chunk()?;
        let instructions = rest.chunks_exact(8);
        if !instructions.remainder().is_empty() {
            return None;
        }
        let program = instructions
            .map(|chunk| {
                let (code, rest) = chunk.split_first_chunk()?;
                let ([jump_true, jump_false], operand) = rest.split_first_chunk()?;
                Some(Instruction {
                    code: u16::from_ne_bytes(*code),
                    jump_true: *jump_true,
                    jump_false: *jump_false,
                    operand: u32::from_ne_bytes(operand.try_into().ok()?),
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            program,
            flags: u32::from_ne_bytes(*flags),
        })
    }

    /// The instructions.
    pub fn program(&self) -> &[Instruction] {
        &self.program
    }

    /// A few words about it.
    pub fn describe(&self) -> String {
        format!("{} instructions", self.program.len())
    }
}

/// Compiles a filter.
///
/// A call that is newer than all that the filter names answers `ENOSYS`, so that programs fall back to an older one instead
/// of taking the refusal for a failure; unless the filter permits by default.
///
/// # Errors
/// `Invalid`, `Unsupported`.
pub fn compile(filter: &spec::Seccomp) -> Result<Filter> {
    let default = Action::of_name(&filter.default_action, filter.default_errno_ret)?;
    if !filter.listener_path.is_empty() {
        return Err(Error::unsupported(
            "linux.seccomp.listenerPath is not offered",
        ));
    }
    let mut archs = vec![Arch::NATIVE];
    for name in &filter.architectures {
        match Arch::of_name(name)? {
            Some(arch) if !archs.contains(&arch) => archs.push(arch),
            _ => {}
        }
    }
    let mut assembler = Assembler::default();
    let bad_arch = assembler.end_with(Action::KILL_PROCESS);
    let mut next_arch = bad_arch;
    for &arch in archs.iter().filter(|arch| **arch != Arch::X32) {
        let mut entry = section(&mut assembler, filter, arch, default)?;
        if arch == Arch::X86_64 {
            let x32 = if archs.contains(&Arch::X32) {
                section(&mut assembler, filter, Arch::X32, default)?
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
        )));
    }
    Ok(Filter {
        program,
        flags: flags(&filter.flags)?,
    })
}

fn flags(names: &[String]) -> Result<u32> {
    names.iter().try_fold(0, |flags, name| {
        Ok(flags
            | match name.as_str() {
                "SECCOMP_FILTER_FLAG_TSYNC" => sys::seccomp::FLAG_TSYNC,
                "SECCOMP_FILTER_FLAG_LOG" => sys::seccomp::FLAG_LOG,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => sys::seccomp::FLAG_SPEC_ALLOW,
                other => {
                    return Err(Error::unsupported(format!(
                        "linux.seccomp.flags: {other:?} is not offered"
                    )));
                }
            })
    })
}

/// Calls from `first` on, up to the next segment, that are treated alike.
#[derive(Clone, Debug)]
struct Segment {
    first: u32,
    rules: CallRules,
}

/// The search over one architecture's calls; the accumulator holds the call's number at its entry.
fn section(
    assembler: &mut Assembler,
    filter: &spec::Seccomp,
    arch: Arch,
    default: Action,
) -> Result<Place> {
    let calls = by_number(filter, arch, default)?;
    let segments = segments(&calls, arch, default);
    Ok(search(assembler, &segments, arch, default))
}

fn segments(calls: &BTreeMap<u32, CallRules>, arch: Arch, default: Action) -> Vec<Segment> {
    let plain = |first, action| Segment {
        first,
        rules: CallRules {
            conditional: Vec::new(),
            always: Some(action),
        },
    };
    let base = if arch == Arch::X32 { X32_BIT } else { 0 };
    let mut segments = Vec::with_capacity(calls.len() + 2);
    let mut next = base;
    for (&number, rules) in calls {
        if number > next {
            segments.push(plain(next, default));
        }
        let mut rules = rules.clone();
        if rules.always.is_some() {
            rules.conditional.clear();
        }
        segments.push(Segment {
            first: number,
            rules,
        });
        next = number + 1;
    }
    // Past the newest call that the filter knows.
    let beyond = if default.permits() || calls.is_empty() {
        default
    } else {
        Action::NO_SUCH_CALL
    };
    segments.push(plain(next, beyond));
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
