//! Mount options as text: which are flags of the mount, which propagation, which the file system's own.
//!
//! Flags of a bind mount follow runc, whose rules the engines rely on: with none given the source's are kept; with any
//! given, those not named are off; of the access-time ones, a word that only turns something off changes nothing.
//!
//! Source: runtime-spec config.md, Linux mount options; `man 8 mount`; `man 2 mount_setattr`.

use sys::mount::{self, MountAttributes, propagation};

use crate::error::{Error, Result};

/// Options of a mount, sorted by what they act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// `bind` or `rbind`.
    pub bind: bool,
    /// `rbind`: with everything that is mounted below.
    pub recursive_bind: bool,
    /// `remount`: change what is mounted there.
    pub remount: bool,
    /// Flags that are on, `MOUNT_ATTR_*` without those of access times.
    pub on: u64,
    /// Flags that were turned off by name.
    pub off: u64,
    /// Words about access times.
    pub times: AccessTimes,
    /// Whether any word about flags was given, of whatever effect.
    pub has_flags: bool,
    /// Flags of this mount and all below (`rro`, …).
    pub recursive: MountAttributes,
    /// Propagation types, each with whether it is for all below too, in the order given.
    pub propagation: Vec<(u64, bool)>,
    /// `idmap` or `ridmap`: with the ids of a user namespace; whether for all below too.
    pub id_mapped: Option<bool>,
    /// `tmpcopyup`: a tmpfs with what the image has there.
    pub copy_up: bool,
    /// `copy-symlink`: a source that is a symbolic link becomes one in the container.
    pub copy_symlink: bool,
    /// Flags of the file system as a whole: `sync`, `dirsync`, `lazytime`, `mand`.
    pub superblock: Vec<&'static str>,
    /// What is left for the file system: `size=64m`, `newinstance`.
    pub data: Vec<String>,
}

/// Words about access times that are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessTimes {
    /// Never updated.
    pub noatime: bool,
    /// Updated when older than the file's change, or a day.
    pub relatime: bool,
    /// Always updated.
    pub strictatime: bool,
    /// Not updated of directories.
    pub nodiratime: bool,
}

impl AccessTimes {
    /// Whether none is on: then what there is stays.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// What the kernel makes of them (`path_mount` in fs/namespace.c): `relatime` unless another is named.
    pub fn attributes(self) -> u64 {
        let kind = if self.strictatime {
            mount::STRICTATIME
        } else if self.noatime {
            mount::NOATIME
        } else {
            mount::RELATIME
        };
        let directories = if self.nodiratime {
            mount::NODIRATIME
        } else {
            0
        };
        kind | directories
    }
}

/// All flags of a mount but those about access times.
pub const FLAGS: u64 =
    mount::RDONLY | mount::NOSUID | mount::NODEV | mount::NOEXEC | mount::NOSYMFOLLOW;

/// All flags about access times.
pub const TIMES: u64 = mount::ATIME_FIELD | mount::NODIRATIME;

/// Sorts options.
///
/// # Errors
/// `Invalid` for a word that carries a zero byte.
pub fn parse(options: &[String]) -> Result<MountOptions> {
    let mut parsed = MountOptions::default();
    for option in options {
        if option.contains('\0') {
            return Err(Error::invalid(format!(
                "mount option {option:?} has a zero byte"
            )));
        }
        parsed.add(option);
    }
    Ok(parsed)
}

impl MountOptions {
    fn add(&mut self, option: &str) {
        if let Some((bits, on)) = flag(option) {
            self.has_flags = true;
            if on {
                self.on |= bits;
                self.off &= !bits;
            } else {
                self.on &= !bits;
                self.off |= bits;
            }
        } else if self.add_time(option) || self.add_superblock(option) {
            self.has_flags = true;
        } else if let Some((set, clear)) = option.strip_prefix('r').and_then(recursive) {
            self.recursive.set = self.recursive.set & !clear | set;
            self.recursive.clear = self.recursive.clear & !set | clear;
        } else if let Some(kind) = propagation_type(option) {
            self.propagation.push(kind);
        } else {
            self.add_rest(option);
        }
    }

    fn add_time(&mut self, option: &str) -> bool {
        let times = &mut self.times;
        let (field, value) = match option {
            "noatime" => (&mut times.noatime, true),
            "atime" => (&mut times.noatime, false),
            "relatime" => (&mut times.relatime, true),
            "norelatime" => (&mut times.relatime, false),
            "strictatime" => (&mut times.strictatime, true),
            "nostrictatime" => (&mut times.strictatime, false),
            "nodiratime" => (&mut times.nodiratime, true),
            "diratime" => (&mut times.nodiratime, false),
            _ => return false,
        };
        *field = value;
        true
    }

    fn add_superblock(&mut self, option: &str) -> bool {
        let (word, on) = match option {
            "sync" => ("sync", true),
            "async" => ("sync", false),
            "dirsync" => ("dirsync", true),
            "lazytime" => ("lazytime", true),
            "nolazytime" => ("lazytime", false),
            "mand" => ("mand", true),
            "nomand" => ("mand", false),
            // Of the kernel's log, and of a field that its file systems keep anyway.
            "silent" | "loud" | "iversion" | "noiversion" => return true,
            _ => return false,
        };
        self.superblock.retain(|known| *known != word);
        if on {
            self.superblock.push(word);
        }
        true
    }

    fn add_rest(&mut self, option: &str) {
        match option {
            "bind" => self.bind = true,
            "rbind" => {
                self.bind = true;
                self.recursive_bind = true;
            }
            "remount" => self.remount = true,
            "idmap" => self.id_mapped = Some(false),
            "ridmap" => self.id_mapped = Some(true),
            "tmpcopyup" => self.copy_up = true,
            "copy-symlink" => self.copy_symlink = true,
            "defaults" | "" => {}
            other => self.data.push(other.to_owned()),
        }
    }

    /// Flags of a mount of a new file system.
    pub fn of_new(&self) -> u64 {
        self.on | self.times.attributes()
    }

    /// What a bind mount is given; [`None`] when its source's flags are kept.
    pub fn of_bind(&self) -> Option<MountAttributes> {
        if !self.has_flags {
            return None;
        }
        let mut attributes = MountAttributes {
            set: self.on,
            clear: FLAGS & !self.on,
            propagation: 0,
        };
        if !self.times.is_empty() {
            attributes.set |= self.times.attributes();
            attributes.clear |= TIMES;
        }
        Some(attributes)
    }
}

fn flag(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "ro" => (mount::RDONLY, true),
        "rw" => (mount::RDONLY, false),
        "nosuid" => (mount::NOSUID, true),
        "suid" => (mount::NOSUID, false),
        "nodev" => (mount::NODEV, true),
        "dev" => (mount::NODEV, false),
        "noexec" => (mount::NOEXEC, true),
        "exec" => (mount::NOEXEC, false),
        "nosymfollow" => (mount::NOSYMFOLLOW, true),
        "symfollow" => (mount::NOSYMFOLLOW, false),
        _ => return None,
    })
}

/// Bits to set and to clear of a recursive word, without its `r`.
fn recursive(option: &str) -> Option<(u64, u64)> {
    if let Some((bits, on)) = flag(option) {
        return Some(if on { (bits, 0) } else { (0, bits) });
    }
    Some(match option {
        // One of several values of a field: the field is cleared first. Off is back to the default, relatime.
        "noatime" => (mount::NOATIME, mount::ATIME_FIELD),
        "strictatime" => (mount::STRICTATIME, mount::ATIME_FIELD),
        "relatime" | "norelatime" | "atime" | "nostrictatime" => {
            (mount::RELATIME, mount::ATIME_FIELD)
        }
        "nodiratime" => (mount::NODIRATIME, 0),
        "diratime" => (0, mount::NODIRATIME),
        _ => return None,
    })
}

/// A propagation type and whether it is for all below too; [`None`] for another word.
fn propagation_type(option: &str) -> Option<(u64, bool)> {
    let kind = |word: &str| {
        Some(match word {
            "shared" => propagation::SHARED,
            "slave" => propagation::SLAVE,
            "private" => propagation::PRIVATE,
            "unbindable" => propagation::UNBINDABLE,
            _ => return None,
        })
    };
    kind(option)
        .map(|kind| (kind, false))
        .or_else(|| Some((kind(option.strip_prefix('r')?)?, true)))
}

/// The propagation type and recursion of `linux.rootfsPropagation`.
///
/// # Errors
/// `Invalid` for an unknown word.
pub fn rootfs_propagation(word: &str) -> Result<(u64, bool)> {
    if word.is_empty() {
        return Ok((propagation::SLAVE, true));
    }
    propagation_type(word).ok_or_else(|| {
        Error::invalid(format!("linux.rootfsPropagation: unknown value {word:?}")).with_hint(
            "it is shared, slave, private or unbindable, or one of these with r before it",
        )
    })
}

/// Every word that this module knows, in the alphabet's order, as `features` lists them.
pub const WORDS: [&str; 63] = [
    "async",
    "atime",
    "bind",
    "copy-symlink",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "remount",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "tmpcopyup",
    "unbindable",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(words: &[&str]) -> MountOptions {
        parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_later_of_two_opposites_wins() {
        assert_eq!(options(&["ro", "rw"]).of_new() & FLAGS, 0);
        assert_eq!(options(&["rw", "ro"]).of_new() & FLAGS, mount::RDONLY);
        assert_eq!(options(&["rw", "ro"]).off, 0);
        assert_eq!(options(&["sync", "async"]).superblock, [""; 0]);
        assert_eq!(options(&["rro", "rrw"]).recursive.set, 0);
        assert_eq!(options(&["rro", "rrw"]).recursive.clear, mount::RDONLY);
    }

    #[test]
    fn recursive_words_are_told_apart() {
        let parsed = options(&["rbind", "rro", "rprivate", "private"]);
        assert!(parsed.bind && parsed.recursive_bind);
        assert_eq!(parsed.recursive.set, mount::RDONLY);
        assert_eq!(parsed.on, 0);
        assert_eq!(
            parsed.propagation,
            [(propagation::PRIVATE, true), (propagation::PRIVATE, false)]
        );
        assert_eq!(parsed.of_bind(), None);
    }

    #[test]
    fn what_is_not_known_is_for_the_file_system() {
        let parsed = options(&["nosuid", "mode=755", "size=65536k", "newinstance"]);
        assert_eq!(parsed.data, ["mode=755", "size=65536k", "newinstance"]);
        assert_eq!(parsed.on, mount::NOSUID);
    }

    #[test]
    fn a_bind_mount_keeps_its_flags_or_has_those_that_are_named() {
        assert_eq!(options(&["bind"]).of_bind(), None);
        let named = options(&["bind", "nosuid"]).of_bind().unwrap();
        assert_eq!(named.set, mount::NOSUID);
        assert_eq!(named.clear, FLAGS & !mount::NOSUID);
        // A word that turns something off is named too.
        assert_eq!(options(&["bind", "dev"]).of_bind().unwrap().clear, FLAGS);
    }

    #[test]
    fn access_times_are_those_of_mount() {
        let times = |words: &[&str]| options(words).of_bind().unwrap();
        assert_eq!(times(&["atime"]).clear & TIMES, 0);
        assert_eq!(times(&["relatime"]).set, mount::RELATIME);
        assert_eq!(times(&["relatime"]).clear & TIMES, TIMES);
        assert_eq!(
            times(&["nodiratime", "norelatime"]).set,
            mount::NODIRATIME | mount::RELATIME
        );
        assert_eq!(
            times(&["nodiratime", "strictatime"]).set,
            mount::NODIRATIME | mount::STRICTATIME
        );
        assert_eq!(
            options(&["rnoatime"]).recursive,
            MountAttributes {
                set: mount::NOATIME,
                clear: mount::ATIME_FIELD,
                propagation: 0
            }
        );
        assert_eq!(
            options(&["rstrictatime", "rnorelatime"]).recursive.set,
            mount::RELATIME
        );
    }

    #[test]
    fn root_propagation_has_four_kinds_of_two_depths() {
        assert_eq!(rootfs_propagation("").unwrap(), (propagation::SLAVE, true));
        for (word, kind) in [
            ("shared", propagation::SHARED),
            ("slave", propagation::SLAVE),
            ("private", propagation::PRIVATE),
            ("unbindable", propagation::UNBINDABLE),
        ] {
            assert_eq!(rootfs_propagation(word).unwrap(), (kind, false));
            assert_eq!(
                rootfs_propagation(&format!("r{word}")).unwrap(),
                (kind, true)
            );
        }
        assert!(rootfs_propagation("rw").is_err());
    }

    proptest! {
        #[test]
        fn any_words_are_sorted(words in proptest::collection::vec("[a-z=,:/-]{0,12}|r?(ro|rw|no)?(suid|dev|exec|atime|shared)", 0..12)) {
            let parsed = parse(&words).unwrap();
            // What is on is not off, in either place.
            prop_assert_eq!(parsed.on & parsed.off, 0);
            let time = parsed.recursive.set & mount::ATIME_FIELD;
            prop_assert!([0, mount::NOATIME, mount::STRICTATIME].contains(&time));
            prop_assert_eq!(parsed.recursive.set & parsed.recursive.clear & FLAGS, 0);
            // Nothing is lost: each word is known or left for the file system.
            for word in words.iter().filter(|word| !word.is_empty()) {
                prop_assert!(WORDS.contains(&word.as_str()) || parsed.data.contains(word), "{}", word);
            }
        }
    }
}
