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
    /// Programs for 32-bit ARM.
    Arm,
}

/// The bit in a call's number that tells x32 from x86-64.
pub const X32_BIT: u32 = 0x4000_0000;

/// 32-bit ARM's own calls (`cacheflush`, `set_tls`) begin here, far above those that get newer.
const ARM_PRIVATE: u32 = 0xf0000;

/// Words of the runtime-spec for machines that this program is not built for, but whose words are right: their byte order
/// is ours, so libseccomp would make a part of the filter for them, which no kernel of ours ever enters.
const ELSEWHERE: [&str; 7] = [
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_SH",
];

/// Those with the other byte order, which libseccomp refuses beside ours.
const BIG_ENDIAN: [&str; 11] = [
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SHEB",
];

impl Arch {
    /// The architecture of this program.
    pub const NATIVE: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };

    /// The architecture of a name in the runtime-spec; [`None`] for those that a kernel for `native` never reports.
    ///
    /// # Errors
    /// `Invalid` for a word that is no architecture, `Unsupported` for one with another byte order.
    pub fn of_name(name: &str, native: Self) -> Result<Option<Self>> {
        let arch = match name {
            "SCMP_ARCH_X86_64" => Self::X86_64,
            "SCMP_ARCH_X86" => Self::X86,
            "SCMP_ARCH_X32" => Self::X32,
            "SCMP_ARCH_AARCH64" => Self::Aarch64,
            "SCMP_ARCH_ARM" => Self::Arm,
            "SCMP_ARCH_NATIVE" => native,
            other if ELSEWHERE.contains(&other) => return Ok(None),
            other if BIG_ENDIAN.contains(&other) => {
                return Err(Error::unsupported(format!(
                    "linux.seccomp.architectures: {other} has another byte order than this machine"
                ))
                .with_hint("list the architectures of this machine only"));
            }
            other => {
                return Err(Error::invalid(format!(
                    "linux.seccomp.architectures: string {other} is not a valid arch for seccomp"
                ))
                .with_hint(
                    "architectures have names such as SCMP_ARCH_X86_64 and SCMP_ARCH_AARCH64",
                ));
            }
        };
        Ok((arch.is_arm() == native.is_arm()).then_some(arch))
    }

    const fn is_arm(self) -> bool {
        matches!(self, Self::Aarch64 | Self::Arm)
    }

    /// The kernel's `AUDIT_ARCH_*`.
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments have 64 bits. Those of x32 have 32 for libseccomp: the registers are wider, but what is in their
    /// upper halves means nothing there.
    pub const fn is_64_bit(self) -> bool {
        matches!(self, Self::X86_64 | Self::Aarch64)
    }

    /// Its place in its family's table.
    const fn column(self) -> usize {
        match self {
            Self::X86_64 | Self::Aarch64 => 0,
            Self::X86 | Self::Arm => 1,
            Self::X32 => 2,
        }
    }

    /// Its calls with their numbers.
    pub fn calls(self) -> Vec<(&'static str, u32)> {
        let base = |(name, number)| (name, number | self.base());
        if self.is_arm() {
            tables::arm::TABLE.calls(self.column()).map(base).collect()
        } else {
            tables::x86::TABLE.calls(self.column()).map(base).collect()
        }
    }

    /// What a call's numbers begin with.
    pub const fn base(self) -> u32 {
        match self {
            Self::X32 => X32_BIT,
            _ => 0,
        }
    }

    /// The number of a system call, as a filter sees it; [`None`] when this architecture has no such call.
    pub fn number(self, name: &str) -> Option<u32> {
        Numbers::of(name, self).of_arch(self)
    }

    /// Whether a call is one of those that are numbered in the order in which kernels got them.
    pub const fn is_in_order(self, number: u32) -> bool {
        !matches!(self, Self::Arm) || number < ARM_PRIVATE
    }

    /// The older call that a call of 32-bit x86 can also be made by, and the first argument that it then has.
    ///
    /// Without a rule about that one as well, a filter on `connect` is passed by with `socketcall(3, …)`.
    ///
    /// Source: man 2 socketcall, man 2 ipc; libseccomp src/arch-x86.c.
    pub fn multiplexer(self, name: &str) -> Option<(u32, u64)> {
        const SOCKETCALL: u32 = 102;
        const IPC: u32 = 117;
        if self != Self::X86 {
            return None;
        }
        let (call, which) = match name {
            "socket" => (SOCKETCALL, 1),
            "bind" => (SOCKETCALL, 2),
            "connect" => (SOCKETCALL, 3),
            "listen" => (SOCKETCALL, 4),
            "accept" => (SOCKETCALL, 5),
            "getsockname" => (SOCKETCALL, 6),
            "getpeername" => (SOCKETCALL, 7),
            "socketpair" => (SOCKETCALL, 8),
            "send" => (SOCKETCALL, 9),
            "recv" => (SOCKETCALL, 10),
            "sendto" => (SOCKETCALL, 11),
            "recvfrom" => (SOCKETCALL, 12),
            "shutdown" => (SOCKETCALL, 13),
            "setsockopt" => (SOCKETCALL, 14),
            "getsockopt" => (SOCKETCALL, 15),
            "sendmsg" => (SOCKETCALL, 16),
            "recvmsg" => (SOCKETCALL, 17),
            "accept4" => (SOCKETCALL, 18),
            "recvmmsg" => (SOCKETCALL, 19),
            "sendmmsg" => (SOCKETCALL, 20),
            "semop" => (IPC, 1),
            "semget" => (IPC, 2),
            "semctl" => (IPC, 3),
            "semtimedop" => (IPC, 4),
            "msgsnd" => (IPC, 11),
            "msgrcv" => (IPC, 12),
            "msgget" => (IPC, 13),
            "msgctl" => (IPC, 14),
            "shmat" => (IPC, 21),
            "shmdt" => (IPC, 22),
            "shmget" => (IPC, 23),
            "shmctl" => (IPC, 24),
            _ => return None,
        };
        Some((call, which))
    }
}

/// A call's numbers in all architectures of a family, from one search.
#[derive(Clone, Copy, Debug)]
pub struct Numbers([Option<u32>; 3]);

impl Numbers {
    /// Those of a name in the family of an architecture.
    pub fn of(name: &str, family: Arch) -> Self {
        if family.is_arm() {
            let [wide, narrow] = tables::arm::TABLE.find(name);
            Self([wide, narrow, None])
        } else {
            Self(tables::x86::TABLE.find(name))
        }
    }

    /// The number in one of them, as a filter sees it.
    pub fn of_arch(self, arch: Arch) -> Option<u32> {
        let number = self.0.get(arch.column()).copied().flatten()?;
        Some(number | arch.base())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        assert_eq!(Arch::X86_64.number("read"), Some(0));
        assert_eq!(Arch::X86_64.number("clone3"), Some(435));
        assert_eq!(Arch::X86.number("read"), Some(3));
        assert_eq!(Arch::X86.number("socketcall"), Some(102));
        assert_eq!(Arch::X86_64.number("socketcall"), None);
        assert_eq!(Arch::X32.number("execve"), Some(X32_BIT + 520));
        assert_eq!(Arch::Aarch64.number("openat"), Some(56));
        assert_eq!(Arch::Arm.number("openat"), Some(322));
        assert_eq!(Arch::Arm.number("set_tls"), Some(0xf0005));
        assert_eq!(Arch::X86_64.number("no_such_call"), None);
    }

    #[test]
    fn tables_can_be_searched() {
        for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm] {
            let calls = arch.calls();
            assert!(calls.is_sorted_by(|a, b| a.0 < b.0), "{arch:?}");
            assert!(calls.len() > 300, "{arch:?}");
            for (name, number) in calls {
                assert_eq!(arch.number(name), Some(number), "{arch:?} {name}");
            }
        }
    }

    #[test]
    fn architectures_of_other_machines_are_passed_over_or_refused() {
        let of = |name| Arch::of_name(name, Arch::X86_64);
        assert_eq!(of("SCMP_ARCH_X86").unwrap(), Some(Arch::X86));
        assert_eq!(of("SCMP_ARCH_NATIVE").unwrap(), Some(Arch::X86_64));
        for name in ["SCMP_ARCH_ARM", "SCMP_ARCH_RISCV64", "SCMP_ARCH_PPC64LE"] {
            assert_eq!(of(name).unwrap(), None, "{name}");
        }
        assert_eq!(
            Arch::of_name("SCMP_ARCH_ARM", Arch::Aarch64).unwrap(),
            Some(Arch::Arm)
        );
        let error = of("SCMP_ARCH_S390X").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("byte order"), "{error}");
        for name in ["SCMP_ARCH_VAX", "x86", ""] {
            assert_eq!(of(name).unwrap_err().kind(), ErrorKind::Invalid, "{name}");
        }
    }
}
