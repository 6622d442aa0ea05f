//! Which device nodes may be read, written and made: a list in v1, a BPF program in v2.
//!
//! Both versions get the same meaning, that of v1: a default, and exceptions from it. The rules of a `config.json`
//! are brought into that form first ([`DeviceList`]).
//! Source: kernel cgroup-v1/devices.rst, cgroup-v2.rst (Device controller); runtime-spec config-linux.md, Allowed Device list.

use std::os::fd::AsFd;

use rustix::io::Errno;
use sys::bpf::Instruction;

use crate::layout::Controller;
use crate::{Cgroup, Error, file};

/// The kind of device node that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceType {
    /// Every kind; such a rule is about all numbers and accesses too.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// What is done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Open for reading.
    pub read: bool,
    /// Open for writing.
    pub write: bool,
    /// Make a node (`mknod`).
    pub mknod: bool,
}

impl DeviceAccess {
    /// Everything.
    pub const ALL: Self = Self {
        read: true,
        write: true,
        mknod: true,
    };

    /// The letters `r`, `w`, `m` of a spec; `None` for any other.
    pub fn from_letters(letters: &str) -> Option<Self> {
        let mut access = Self {
            read: false,
            write: false,
            mknod: false,
        };
        for letter in letters.chars() {
            match letter {
                'r' => access.read = true,
                'w' => access.write = true,
                'm' => access.mknod = true,
                _ => return None,
            }
        }
        Some(access)
    }

    fn letters(self) -> String {
        [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')]
            .into_iter()
            .filter_map(|(set, letter)| set.then_some(letter))
            .collect()
    }

    /// As the kernel's `BPF_DEVCG_ACC_*` bits.
    fn bits(self) -> i32 {
        i32::from(self.mknod) | i32::from(self.read) << 1 | i32::from(self.write) << 2
    }

    fn union(self, other: Self) -> Self {
        Self {
            read: self.read || other.read,
            write: self.write || other.write,
            mknod: self.mknod || other.mknod,
        }
    }

    fn without(self, other: Self) -> Self {
        Self {
            read: self.read && !other.read,
            write: self.write && !other.write,
            mknod: self.mknod && !other.mknod,
        }
    }

    fn intersects(self, other: Self) -> bool {
        self.bits() & other.bits() != 0
    }
}

/// A rule as in `linux.resources.devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Allow, else deny.
    pub allow: bool,
    /// Kind of device.
    pub kind: DeviceType,
    /// Major number; `None` for any.
    pub major: Option<u32>,
    /// Minor number; `None` for any.
    pub minor: Option<u32>,
    /// The accesses it is about.
    pub access: DeviceAccess,
}

/// Rules in the form of v1: a default and its exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceList {
    /// What holds for a device without an exception.
    pub allow_by_default: bool,
    /// Each with `allow` opposite to the default.
    pub exceptions: Vec<DeviceRule>,
}

impl DeviceList {
    /// Applies the rules in their order to "all is allowed", as the kernel's v1 controller does.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a rule that v1 would silently not honour: one that takes back only a part of an
    /// earlier, wider exception.
    pub fn from_rules(rules: &[DeviceRule]) -> Result<Self, Error> {
        let mut list = Self {
            allow_by_default: true,
            exceptions: Vec::new(),
        };
        for rule in rules {
            if is_everything(rule) {
                list = Self {
                    allow_by_default: rule.allow,
                    exceptions: Vec::new(),
                };
            } else if rule.kind == DeviceType::All {
                for kind in [DeviceType::Block, DeviceType::Char] {
                    list.apply(DeviceRule { kind, ..*rule })?;
                }
            } else {
                list.apply(*rule)?;
            }
        }
        Ok(list)
    }

    fn apply(&mut self, rule: DeviceRule) -> Result<(), Error> {
        if rule.allow == self.allow_by_default {
            let overlap = self.exceptions.iter().any(|exception| {
                !same_device(exception, &rule)
                    && overlaps(exception, &rule)
                    && exception.access.intersects(rule.access)
            });
            if overlap {
                return Err(Error::Invalid {
                    what: "devices".into(),
                    value: rule_text(&rule),
                    reason: "takes back a part of an earlier, wider rule, which device cgroups cannot express".into(),
                });
            }
            for exception in &mut self.exceptions {
                if same_device(exception, &rule) {
                    exception.access = exception.access.without(rule.access);
                }
            }
            self.exceptions
                .retain(|exception| exception.access.bits() != 0);
            return Ok(());
        }
        match self
            .exceptions
            .iter_mut()
            .find(|known| same_device(known, &rule))
        {
            Some(known) => known.access = known.access.union(rule.access),
            None => self.exceptions.push(rule),
        }
        Ok(())
    }
}

fn is_everything(rule: &DeviceRule) -> bool {
    rule.kind == DeviceType::All
        && rule.major.is_none()
        && rule.minor.is_none()
        && rule.access == DeviceAccess::ALL
}

fn same_device(a: &DeviceRule, b: &DeviceRule) -> bool {
    a.kind == b.kind && a.major == b.major && a.minor == b.minor
}

fn overlaps(a: &DeviceRule, b: &DeviceRule) -> bool {
    let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
    a.kind == b.kind && meet(a.major, b.major) && meet(a.minor, b.minor)
}

/// A rule as v1 writes it: `c 1:3 rwm`.
fn rule_text(rule: &DeviceRule) -> String {
    let kind = match rule.kind {
        DeviceType::All => 'a',
        DeviceType::Block => 'b',
        DeviceType::Char => 'c',
    };
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
    format!(
        "{kind} {}:{} {}",
        number(rule.major),
        number(rule.minor),
        rule.access.letters()
    )
}

impl Cgroup {
    /// Sets which devices the processes in it may use, replacing what was set before.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`DeviceList::from_rules`]; [`Error::NotSupported`] if neither a v1 devices hierarchy
    /// nor v2 is there; [`Error::Sys`].
    pub fn set_devices(&self, rules: &[DeviceRule]) -> Result<(), Error> {
        let list = DeviceList::from_rules(rules)?;
        if let Some(directory) = self.directory_of(Controller::Devices) {
            let (default, other) = if list.allow_by_default {
                ("devices.allow", "devices.deny")
            } else {
                ("devices.deny", "devices.allow")
            };
            file::write_named(&directory.path.join(default), "a")?;
            return file::write_all_named(
                &directory.path.join(other),
                list.exceptions.iter().map(rule_text),
            );
        }
        self.attach_device_program(&list)
    }
}

/// The program that decides in v2: the access in, 1 (allowed) or 0 out.
///
/// The context is `struct bpf_cgroup_dev_ctx`: `access << 16 | type`, major, minor, each 32 bits.
///
/// # Errors
/// [`Error::Invalid`] for a device number that no device can have.
///
/// Source: kernel `include/uapi/linux/bpf.h`, `security/device_cgroup.c`.
pub fn program(list: &DeviceList) -> Result<Vec<Instruction>, Error> {
    const LOAD_WORD: u8 = 0x61;
    const MOVE: u8 = 0xbf;
    const MOVE_IMMEDIATE: u8 = 0xb7;
    const AND: u8 = 0x57;
    const SHIFT_RIGHT: u8 = 0x77;
    const JUMP_IF_EQUAL: u8 = 0x15;
    const JUMP_UNLESS_EQUAL: u8 = 0x55;
    const EXIT: u8 = 0x95;
    let instruction = |code, destination: u8, source: u8, offset, immediate| Instruction {
        code,
        registers: source << 4 | destination,
        offset,
        immediate,
    };
    // r2 access, r3 type, r4 major, r5 minor; r1 is scratch afterwards.
    let mut code = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE, 3, 2, 0, 0),
        instruction(AND, 3, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, 2, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    for exception in &list.exceptions {
        let kind = match exception.kind {
            DeviceType::Block => 1,
            DeviceType::Char | DeviceType::All => 2,
        };
        let bits = exception.access.bits();
        // Each test jumps behind the verdict if it does not hold; filled in once the length is known.
        let mut tests = vec![instruction(JUMP_UNLESS_EQUAL, 3, 0, 0, kind)];
        tests.push(instruction(MOVE, 1, 2, 0, 0));
        if list.allow_by_default {
            // Denied if any of the wanted accesses is.
            tests.push(instruction(AND, 1, 0, 0, bits));
            tests.push(instruction(JUMP_IF_EQUAL, 1, 0, 0, 0));
        } else {
            // Allowed if all of the wanted accesses are.
            tests.push(instruction(AND, 1, 0, 0, DeviceAccess::ALL.bits() & !bits));
            tests.push(instruction(JUMP_UNLESS_EQUAL, 1, 0, 0, 0));
        }
        for (register, number) in [(4, exception.major), (5, exception.minor)] {
            if let Some(number) = number {
                let number = i32::try_from(number).map_err(|_too_large| Error::Invalid {
                    what: "devices".into(),
                    value: rule_text(exception),
                    reason: "no device has such a number".into(),
                })?;
                tests.push(instruction(JUMP_UNLESS_EQUAL, register, 0, 0, number));
            }
        }
        let length = tests.len();
        for (at, test) in tests.iter_mut().enumerate() {
            if matches!(test.code, JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL) {
                // Over the tests that follow and the two instructions of the verdict.
                test.offset = i16::try_from(length - at - 1 + 2).unwrap_or(i16::MAX);
            }
        }
        code.extend(tests);
        code.push(instruction(
            MOVE_IMMEDIATE,
            0,
            0,
            0,
            i32::from(exception.allow),
        ));
        code.push(instruction(EXIT, 0, 0, 0, 0));
    }
    code.push(instruction(
        MOVE_IMMEDIATE,
        0,
        0,
        0,
        i32::from(list.allow_by_default),
    ));
    code.push(instruction(EXIT, 0, 0, 0, 0));
    Ok(code)
}

impl Cgroup {
    fn attach_device_program(&self, list: &DeviceList) -> Result<(), Error> {
        if list.allow_by_default && list.exceptions.is_empty() {
            return Ok(());
        }
        let (Some(path), Some(directory)) = (self.v2_directory(), self.clone_fd()?) else {
            return Err(Error::NotSupported {
                what: "devices".into(),
                value: format!("{} rules", list.exceptions.len()),
                reason: "neither the v1 devices controller nor cgroup v2 is mounted".into(),
                hint: "mount one of them".into(),
            });
        };
        let failed = |operation, error: &std::io::Error| {
            let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
            Error::sys(operation, path, errno)
                .with_hint("needs CAP_BPF (or root) and a kernel with CONFIG_CGROUP_BPF")
        };
        let loaded = sys::bpf::load_device_program(&program(list)?)
            .map_err(|error| failed("load device program for", &error))?;
        let earlier = sys::bpf::device_programs(directory.as_fd())
            .map_err(|error| failed("list device programs of", &error))?;
        // The new one first: all attached ones must allow, so there is no moment without a rule.
        sys::bpf::attach_device_program(directory.as_fd(), loaded.as_fd())
            .map_err(|error| failed("attach device program to", &error))?;
        for old in earlier {
            sys::bpf::detach_device_program(directory.as_fd(), old.as_fd())
                .map_err(|error| failed("detach device program from", &error))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(
        allow: bool,
        kind: DeviceType,
        major: Option<u32>,
        minor: Option<u32>,
        access: &str,
    ) -> DeviceRule {
        DeviceRule {
            allow,
            kind,
            major,
            minor,
            access: DeviceAccess::from_letters(access).unwrap(),
        }
    }

    /// What the kernel would answer: the program, interpreted.
    fn run(code: &[Instruction], kind: u64, access: u64, major: u64, minor: u64) -> u64 {
        let mut r = [0_u64; 11];
        let mut at = 0_usize;
        loop {
            let i = code[at];
            let (destination, source) =
                (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            let immediate = u64::try_from(i.immediate).unwrap();
            let offset = usize::try_from(i.offset).unwrap();
            at += 1;
            match i.code {
                0x61 => r[destination] = [access << 16 | kind, major, minor][offset / 4],
                0xbf => r[destination] = r[source],
                0xb7 => r[destination] = immediate,
                0x57 => r[destination] &= immediate,
                0x77 => r[destination] >>= immediate,
                0x15 if r[destination] == immediate => at += offset,
                0x55 if r[destination] != immediate => at += offset,
                0x15 | 0x55 => {}
                0x95 => return r[0],
                other => panic!("{other:x}"),
            }
        }
    }

    /// `security/device_cgroup.c`, `devcgroup_legacy_check_permission`, in words of this module.
    fn verdict(list: &DeviceList, kind: u64, access: i32, major: u32, minor: u32) -> bool {
        let hit = list.exceptions.iter().any(|e| {
            let same = kind == if e.kind == DeviceType::Block { 1 } else { 2 }
                && e.major.is_none_or(|m| m == major)
                && e.minor.is_none_or(|m| m == minor);
            same && if list.allow_by_default {
                access & e.access.bits() != 0
            } else {
                access & !e.access.bits() == 0
            }
        });
        hit != list.allow_by_default
    }

    #[test]
    fn allowed_accesses_of_one_device_add_up() {
        let list = DeviceList::from_rules(&[
            rule(false, DeviceType::All, None, None, "rwm"),
            rule(true, DeviceType::Char, Some(1), Some(3), "r"),
            rule(true, DeviceType::Char, Some(1), Some(3), "w"),
        ])
        .unwrap();
        assert!(!list.allow_by_default);
        assert_eq!(list.exceptions.len(), 1);
        assert_eq!(rule_text(&list.exceptions[0]), "c 1:3 rw");
    }

    #[test]
    fn taking_back_a_part_of_a_wider_rule_is_refused() {
        let refused = DeviceList::from_rules(&[
            rule(false, DeviceType::All, None, None, "rwm"),
            rule(true, DeviceType::Char, Some(1), None, "rwm"),
            rule(false, DeviceType::Char, Some(1), Some(3), "w"),
        ]);
        assert!(matches!(refused, Err(Error::Invalid { .. })));
    }

    fn any_rule() -> impl proptest::strategy::Strategy<Value = DeviceRule> {
        use proptest::prelude::*;
        (
            any::<bool>(),
            0_u8..3,
            proptest::option::of(0_u32..3),
            proptest::option::of(0_u32..3),
            1_u8..8,
        )
            .prop_map(|(allow, kind, major, minor, access)| DeviceRule {
                allow,
                kind: match kind {
                    0 => DeviceType::All,
                    1 => DeviceType::Block,
                    _ => DeviceType::Char,
                },
                major,
                minor,
                access: DeviceAccess {
                    read: access & 1 != 0,
                    write: access & 2 != 0,
                    mknod: access & 4 != 0,
                },
            })
    }

    proptest::proptest! {
        #[test]
        fn the_program_decides_as_v1_does(rules in proptest::collection::vec(any_rule(), 0..8)) {
            if let Ok(list) = DeviceList::from_rules(&rules) {
                let code = program(&list).unwrap();
                for kind in [1_u64, 2] { for access in 1..8_i32 { for major in 0..4_u32 { for minor in 0..4_u32 {
                    let allowed = run(&code, kind, u64::from(access.unsigned_abs()), u64::from(major), u64::from(minor)) == 1;
                    proptest::prop_assert_eq!(allowed, verdict(&list, kind, access, major, minor));
                }}}}
            }
        }
    }
}
