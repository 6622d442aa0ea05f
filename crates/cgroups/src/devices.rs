//! Which device nodes may be read, written and made: a list in v1, a BPF program in v2.
//!
//! Both versions get the same meaning, that of v1: a default, and exceptions from it. The rules of a `config.json`
//! are brought into that form first ([`DeviceList`]); `apply` puts it in force, `program` is the program of v2.
//! Source: kernel cgroup-v1/devices.rst, cgroup-v2.rst (Device controller); runtime-spec config-linux.md, Allowed Device list.

mod apply;
mod program;

pub use program::program;

use crate::{Error, parse};

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

    /// Nothing.
    pub const NONE: Self = Self {
        read: false,
        write: false,
        mknod: false,
    };

    /// The letters `r`, `w`, `m` of a spec; `None` for any other.
    pub fn from_letters(letters: &str) -> Option<Self> {
        let mut access = Self::NONE;
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

    pub(crate) fn letters(self) -> String {
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
    /// Applies the rules in their order to "nothing is allowed", as the kernel's v1 controller would. Peers begin with
    /// the same: a `config.json` without rules gives no device away.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a rule that v1 would silently not honour: one that takes back only a part of an
    /// earlier, wider exception.
    pub fn from_rules(rules: &[DeviceRule]) -> Result<Self, Error> {
        let mut list = Self {
            allow_by_default: false,
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

    /// What v1's `devices.list` says: the exceptions, or that all is allowed (then the kernel does not tell which are
    /// denied). A line of another form is left out.
    pub fn from_listing(content: &str) -> Self {
        let exceptions: Vec<_> = content.lines().filter_map(listed).collect();
        let allow_by_default = exceptions.iter().any(is_everything);
        Self {
            allow_by_default,
            exceptions: if allow_by_default {
                Vec::new()
            } else {
                exceptions
            },
        }
    }

    /// What a device may be used for by the exceptions about exactly it.
    fn exception_of(&self, device: &DeviceRule) -> DeviceAccess {
        self.exceptions
            .iter()
            .filter(|exception| same_device(exception, device))
            .fold(DeviceAccess::NONE, |access, exception| {
                access.union(exception.access)
            })
    }

    /// True when both mean the same, whatever the order.
    fn says_the_same(&self, other: &Self) -> bool {
        let covers = |a: &Self, b: &Self| {
            a.exceptions
                .iter()
                .all(|rule| a.exception_of(rule) == b.exception_of(rule))
        };
        self.allow_by_default == other.allow_by_default
            && covers(self, other)
            && covers(other, self)
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

/// A line of `devices.list`: `c 1:3 rwm`, `b *:* m`.
fn listed(line: &str) -> Option<DeviceRule> {
    let mut words = line.split_ascii_whitespace();
    let kind = match words.next()? {
        "a" => DeviceType::All,
        "b" => DeviceType::Block,
        "c" => DeviceType::Char,
        _ => return None,
    };
    let (major, minor) = parse::device_pattern(words.next()?)?;
    let access = DeviceAccess::from_letters(words.next()?)?;
    Some(DeviceRule {
        allow: true,
        kind,
        major,
        minor,
        access,
    })
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

#[cfg(test)]
mod tests {
    use sys::bpf::Instruction;

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

    /// Each single use of each device by the rules in their order: the last one that is about it decides.
    fn model(rules: &[DeviceRule], kind: u64, access: i32, major: u32, minor: u32) -> bool {
        let is_about = |rule: &&DeviceRule| {
            let of_kind = match rule.kind {
                DeviceType::All => true,
                DeviceType::Block => kind == 1,
                DeviceType::Char => kind == 2,
            };
            of_kind
                && rule.major.is_none_or(|number| number == major)
                && rule.minor.is_none_or(|number| number == minor)
                && rule.access.bits() & access != 0
        };
        rules.iter().rfind(is_about).is_some_and(|rule| rule.allow)
    }

    #[test]
    fn a_listing_is_read_and_written_lines_come_back() {
        let list = DeviceList::from_listing("c 1:3 rwm\nb *:* m\nnonsense\nc 136:* rw\n");
        let lines: Vec<_> = list.exceptions.iter().map(rule_text).collect();
        assert_eq!(lines, ["c 1:3 rwm", "b *:* m", "c 136:* rw"]);
        assert!(!list.allow_by_default);
        assert!(DeviceList::from_listing("a *:* rwm\n").allow_by_default);
        let turned = DeviceList::from_listing("c 136:* rw\nc 1:3 rm\nc 1:3 w\nb *:* m\n");
        assert!(list.says_the_same(&turned));
        assert!(!list.says_the_same(&DeviceList::from_listing("c 1:3 rwm\nb *:* m\n")));
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
                    let each: Vec<_> = [1, 2, 4].into_iter().filter(|bit| access & bit != 0)
                        .map(|bit| model(&rules, kind, bit, major, minor)).collect();
                    if each.len() == 1 || list.allow_by_default {
                        proptest::prop_assert_eq!(allowed, each.iter().all(|bit| *bit));
                    } else if allowed {
                        // As in v1 one exception must cover the whole of an access; never is more allowed than in parts.
                        proptest::prop_assert!(each.iter().all(|bit| *bit));
                    }
                }}}}
            }
        }
    }
}
