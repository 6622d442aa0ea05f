//! Architectures that a filter can be about.

use super::tables;
use crate::error::{Error, Result};

/// An architecture, as the kernel reports it to a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// x86-64.
    X86_64,
    /// Programs for 32-bit x86.
    X86,
    /// x86-64 with 32-bit pointers: the numbers of x86-64 with bit 30 set.
    X32,
    /// 64-bit ARM.
    Aarch64,
}

/// The bit in a call's number that tells x32 from x86-64.
pub const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// The architecture of this program.
    pub const NATIVE: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };

    /// The architecture of a name in the runtime-spec; [`None`] for those this kernel can never report.
    ///
    /// # Errors
    /// `Invalid` for a word that is no architecture at all.
    pub fn of_name(name: &str) -> Result<Option<Self>> {
        let arch = match name {
            "SCMP_ARCH_X86_64" => Self::X86_64,
            "SCMP_ARCH_X86" => Self::X86,
            "SCMP_ARCH_X32" => Self::X32,
            "SCMP_ARCH_AARCH64" => Self::Aarch64,
            "SCMP_ARCH_NATIVE" => Self::NATIVE,
            other if other.starts_with("SCMP_ARCH_") => return Ok(None),
            other => {
                return Err(Error::invalid(format!(
                    "linux.seccomp.architectures: unknown word {other:?}"
                )));
            }
        };
        let same_machine = (arch == Self::Aarch64) == (Self::NATIVE == Self::Aarch64);
        Ok(same_machine.then_some(arch))
    }

    /// The kernel's `AUDIT_ARCH_*`.
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// Whether arguments have 64 bits.
    pub const fn is_64_bit(self) -> bool {
        !matches!(self, Self::X86)
    }

    /// The number of a system call, as a filter sees it; [`None`] when this architecture has no such call.
    pub fn number(self, name: &str) -> Option<u32> {
        let table: &[(&str, u32)] = match self {
            Self::X86_64 => &tables::x86_64::TABLE,
            Self::X86 => &tables::x86::TABLE,
            Self::X32 => &tables::x32::TABLE,
            Self::Aarch64 => &tables::aarch64::TABLE,
        };
        let index = table.binary_search_by_key(&name, |(name, _)| name).ok()?;
        let (_, number) = table.get(index)?;
        Some(if self == Self::X32 {
            number | X32_BIT
        } else {
            *number
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        assert_eq!(Arch::X86_64.number("read"), Some(0));
        assert_eq!(Arch::X86_64.number("clone3"), Some(435));
        assert_eq!(Arch::X86.number("read"), Some(3));
        assert_eq!(Arch::X86.number("socketcall"), Some(102));
        assert_eq!(Arch::X86_64.number("socketcall"), None);
        assert_eq!(Arch::X32.number("execve"), Some(X32_BIT + 520));
        assert_eq!(Arch::Aarch64.number("openat"), Some(56));
        assert_eq!(Arch::X86_64.number("no_such_call"), None);
    }
}
