//! Actions and conditions of a filter.
//!
//! Two rules about one call: conditions are tried in order; a rule without conditions is stronger than all with, and the
//! first of several counts. That is what libseccomp, and so runc, makes of them.

use std::collections::BTreeMap;

use super::arch::Arch;
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
    /// End the process.
    pub const KILL_PROCESS: Self = Self(0x8000_0000);
    /// The call does not exist.
    pub const NO_SUCH_CALL: Self = Self(0x0005_0000 | ENOSYS);

    /// The action of a name in the runtime-spec.
    ///
    /// # Errors
    /// `Invalid` for an unknown word or an errno that does not fit, `Unsupported` for `SCMP_ACT_NOTIFY`.
    pub fn of_name(name: &str, errno: Option<u32>) -> Result<Self> {
        let data = errno.unwrap_or(EPERM);
        if data > 0xffff {
            return Err(Error::invalid(format!(
                "linux.seccomp: errnoRet {data} is too large"
            )));
        }
        Ok(Self(match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
            "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
            "SCMP_ACT_TRAP" => 0x0003_0000,
            "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
            "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
            "SCMP_ACT_LOG" => 0x7ffc_0000,
            "SCMP_ACT_ALLOW" => 0x7fff_0000,
            "SCMP_ACT_NOTIFY" => {
                return Err(
                    Error::unsupported("linux.seccomp: SCMP_ACT_NOTIFY is not offered")
                        .with_hint("use SCMP_ACT_ERRNO, or another runtime (--runtime runc)"),
                );
            }
            other => {
                return Err(Error::invalid(format!(
                    "linux.seccomp: unknown action {other:?}"
                )));
            }
        }))
    }

    /// Whether the call goes on, perhaps with a note somewhere.
    pub const fn permits(self) -> bool {
        self.0 == Self::ALLOW.0 || self.0 == 0x7ffc_0000
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
            )));
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
                return Err(Error::invalid(format!(
                    "linux.seccomp: unknown comparison {other:?}"
                )));
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

/// The rules of each call of an architecture, by number.
///
/// # Errors
/// `Invalid`, `Unsupported`.
pub fn by_number(
    filter: &spec::Seccomp,
    arch: Arch,
    default: Action,
) -> Result<BTreeMap<u32, CallRules>> {
    let mut calls: BTreeMap<u32, CallRules> = BTreeMap::new();
    for rule in &filter.syscalls {
        let action = Action::of_name(&rule.action, rule.errno_ret)?;
        let conditions = rule
            .args
            .iter()
            .map(Condition::of_spec)
            .collect::<Result<Vec<_>>>()?;
        if action == default {
            continue;
        }
        // Several conditions on one argument are alternatives, else they must all hold: runc's reading.
        let repeated = conditions.iter().enumerate().any(|(position, condition)| {
            conditions
                .iter()
                .take(position)
                .any(|earlier| earlier.index == condition.index)
        });
        // A name that this architecture (or our table) does not have is skipped, as by runc.
        for number in rule.names.iter().filter_map(|name| arch.number(name)) {
            let call = calls.entry(number).or_default();
            if conditions.is_empty() {
                call.always.get_or_insert(action);
            } else if repeated {
                call.conditional.extend(
                    conditions
                        .iter()
                        .map(|condition| (vec![*condition], action)),
                );
            } else {
                call.conditional.push((conditions.clone(), action));
            }
        }
    }
    Ok(calls)
}
