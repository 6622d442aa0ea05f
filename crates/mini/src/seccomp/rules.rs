//! Actions and conditions of a filter.
//!
//! Two rules about one call: a rule without conditions is stronger than all with, and the first of several counts; rules
//! with conditions are tried in the order of the profile. libseccomp, and so runc, agrees on all that it takes: it refuses
//! a second rule without conditions that says something else, and of overlapping conditions with different actions it
//! tries the one on the higher argument first, whatever the profile's order.

use super::arch::{Arch, Numbers};
use crate::error::{Error, Result};
use crate::spec;

/// What the kernel is told to do: the value a filter returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Action(pub u32);

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

impl Action {
    /// Go on.
    pub const ALLOW: Self = Self(0x7fff_0000);
    /// Go on, with a line in the kernel's log.
    pub const LOG: Self = Self(0x7ffc_0000);
    /// Ask the supervisor who has the filter's listener.
    pub const NOTIFY: Self = Self(0x7fc0_0000);
    /// End the process.
    pub const KILL_PROCESS: Self = Self(0x8000_0000);
    /// The call does not exist.
    pub const NO_SUCH_CALL: Self = Self(0x0005_0000 | ENOSYS);

    /// The action of a name in the runtime-spec.
    ///
    /// # Errors
    /// `Invalid` for an unknown word or an errno that does not fit.
    pub fn of_name(name: &str, errno: Option<u32>) -> Result<Self> {
        let data = errno.unwrap_or(EPERM);
        if data > 0xffff {
            return Err(
                Error::invalid(format!("linux.seccomp: errnoRet {data} is too large"))
                    .with_hint("an errno is at most 4095"),
            );
        }
        Ok(Self(match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
            "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
            "SCMP_ACT_TRAP" => 0x0003_0000,
            "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
            "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
            "SCMP_ACT_LOG" => Self::LOG.0,
            "SCMP_ACT_ALLOW" => Self::ALLOW.0,
            "SCMP_ACT_NOTIFY" => Self::NOTIFY.0,
            other => {
                return Err(
                    Error::invalid(format!("linux.seccomp: unknown action {other:?}")).with_hint(
                        "actions have names such as SCMP_ACT_ERRNO; mini features lists them",
                    ),
                );
            }
        }))
    }

    /// Whether the call goes on, perhaps with a note somewhere, or a tracer decides, who can know calls that are newer than
    /// the profile.
    pub const fn permits(self) -> bool {
        const TRACE: u32 = 0x7ff0_0000;
        self.0 == Self::ALLOW.0 || self.0 == Self::LOG.0 || self.0 & 0xffff_0000 == TRACE
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Not the value.
    NotEqual,
    /// Less than the value.
    Less,
    /// The value or less.
    LessOrEqual,
    /// The value.
    Equal,
    /// The value or more.
    GreaterOrEqual,
    /// More than the value.
    Greater,
    /// The bits of the mask are those of the value.
    MaskedEqual {
        /// The bits to look at.
        mask: u64,
    },
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

impl Condition {
    fn of_spec(argument: &spec::SyscallArgument) -> Result<Self> {
        if argument.index > 5 {
            return Err(Error::invalid(format!(
                "linux.seccomp: a system call has no argument {}",
                argument.index
            ))
            .with_hint("arguments have the numbers 0 to 5"));
        }
        let (comparison, value) = match argument.op.as_str() {
            "SCMP_CMP_NE" => (Comparison::NotEqual, argument.value),
            "SCMP_CMP_LT" => (Comparison::Less, argument.value),
            "SCMP_CMP_LE" => (Comparison::LessOrEqual, argument.value),
            "SCMP_CMP_EQ" => (Comparison::Equal, argument.value),
            "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, argument.value),
            "SCMP_CMP_GT" => (Comparison::Greater, argument.value),
            // Here `value` is the mask, and `valueTwo` what the masked argument must be.
            "SCMP_CMP_MASKED_EQ" => (
                Comparison::MaskedEqual {
                    mask: argument.value,
                },
                argument.value_two,
            ),
            other => {
                return Err(
                    Error::invalid(format!("linux.seccomp: unknown comparison {other:?}"))
                        .with_hint(
                            "comparisons have names such as SCMP_CMP_EQ; mini features lists them",
                        ),
                );
            }
        };
        Ok(Self {
            index: argument.index,
            comparison,
            value,
        })
    }
}

/// What happens to one system call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CallRules {
    /// All conditions of a rule must hold; the first rule that does decides.
    pub conditional: Vec<(Vec<Condition>, Action)>,
    /// Decides always, whatever the conditions.
    pub always: Option<Action>,
}

/// A rule of the profile, checked.
#[derive(Clone, Debug)]
pub struct Rule<'a> {
    names: &'a [String],
    numbers: Vec<Numbers>,
    action: Action,
    /// Alternatives, each of which asks for all of its conditions; empty for a rule without conditions.
    alternatives: Vec<Vec<Condition>>,
}

/// The rules of a profile, their calls looked up for a family of architectures.
///
/// # Errors
/// `Invalid`.
pub fn parse(profile: &spec::Seccomp, family: Arch) -> Result<Vec<Rule<'_>>> {
    let rules = profile.syscalls.iter();
    rules.map(|rule| Rule::of_spec(rule, family)).collect()
}

impl<'a> Rule<'a> {
    fn of_spec(rule: &'a spec::SyscallRule, family: Arch) -> Result<Self> {
        let action = Action::of_name(&rule.action, rule.errno_ret)?;
        let conditions = rule
            .args
            .iter()
            .map(Condition::of_spec)
            .collect::<Result<Vec<_>>>()?;
        // Several conditions on one argument are alternatives, else they must all hold: runc's reading.
        let repeated = conditions.iter().enumerate().any(|(position, condition)| {
            conditions
                .iter()
                .take(position)
                .any(|earlier| earlier.index == condition.index)
        });
        let alternatives = if conditions.is_empty() {
            Vec::new()
        } else if repeated {
            conditions
                .into_iter()
                .map(|condition| vec![condition])
                .collect()
        } else {
            vec![conditions]
        };
        Ok(Self {
            names: &rule.names,
            numbers: rule
                .names
                .iter()
                .map(|name| Numbers::of(name, family))
                .collect(),
            action,
            alternatives,
        })
    }

    /// Whether calls of this name ask the supervisor.
    pub(super) fn notifies(&self, name: &str) -> bool {
        self.action == Action::NOTIFY && self.names.iter().any(|named| named == name)
    }

    /// Whether any call asks the supervisor.
    pub(super) fn is_notify(&self) -> bool {
        self.action == Action::NOTIFY
    }
}

/// What a profile says about one architecture.
#[derive(Debug, Default)]
pub struct CallTable {
    /// The rules of each call that is not treated like the rest, by number.
    pub calls: Vec<(u32, CallRules)>,
    /// The highest number of a call that the profile names, if only to treat it like the rest.
    pub newest: Option<u32>,
}

/// A rule about a call, perhaps behind a multiplexer.
struct Mention<'a> {
    number: u32,
    rule: &'a Rule<'a>,
    which: Option<u64>,
}

impl CallTable {
    /// Sorts the rules by the calls of an architecture. A name that it (or our table) does not have is skipped, as by runc.
    pub fn of(rules: &[Rule<'_>], arch: Arch, default: Action) -> Self {
        let mut newest = None;
        let mut mentions = Vec::with_capacity(512);
        for rule in rules {
            for (name, numbers) in rule.names.iter().zip(&rule.numbers) {
                let number = numbers.of_arch(arch);
                if let Some(number) = number.filter(|number| arch.is_in_order(*number)) {
                    newest = newest.max(Some(number));
                }
                if rule.action == default {
                    continue;
                }
                let direct = number.map(|number| (number, None));
                let multiplexed = arch
                    .multiplexer(name)
                    .map(|(number, which)| (number, Some(which)));
                let both = direct.into_iter().chain(multiplexed);
                mentions.extend(both.map(|(number, which)| Mention {
                    number,
                    rule,
                    which,
                }));
            }
        }
        // Stable: the rules of a call stay in the profile's order.
        mentions.sort_by_key(|mention| mention.number);
        let mut calls: Vec<(u32, CallRules)> = Vec::with_capacity(mentions.len());
        for mention in &mentions {
            match calls.last_mut() {
                Some((number, call)) if *number == mention.number => call.add(mention),
                _ => {
                    let mut call = CallRules::default();
                    call.add(mention);
                    calls.push((mention.number, call));
                }
            }
        }
        Self { calls, newest }
    }
}

impl CallRules {
    /// `which`: the call's own number behind a multiplexer. It takes the place of a condition on the first argument, as in
    /// libseccomp; the call's own arguments lie in memory, where no filter can look.
    fn add(&mut self, mention: &Mention<'_>) {
        let rule = mention.rule;
        let Some(which) = mention.which else {
            if rule.alternatives.is_empty() {
                self.always.get_or_insert(rule.action);
            } else {
                let alternatives = rule.alternatives.iter().cloned();
                self.conditional
                    .extend(alternatives.map(|conditions| (conditions, rule.action)));
            }
            return;
        };
        let first = Condition {
            index: 0,
            comparison: Comparison::Equal,
            value: which,
        };
        let others = |conditions: &[Condition]| {
            let rest = conditions.iter().filter(|condition| condition.index != 0);
            let all = std::iter::once(first).chain(rest.copied()).collect();
            (all, rule.action)
        };
        if rule.alternatives.is_empty() {
            self.conditional.push(others(&[]));
        } else {
            let alternatives = rule.alternatives.iter();
            self.conditional
                .extend(alternatives.map(|conditions| others(conditions)));
        }
    }
}
