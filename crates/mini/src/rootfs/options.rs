//! Mount options as text: which are attributes of the mount, which propagation, which the file system's own.
//!
//! Source: runtime-spec config.md, Linux mount options; `man 8 mount`.

use sys::mount::{self, MountAttributes, propagation};

use crate::error::{Error, Result};

/// Options of a mount, sorted by what they act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// `bind` or `rbind`.
    pub bind: bool,
    /// `rbind`: with everything that is mounted below.
    pub recursive_bind: bool,
    /// Attributes of this mount.
    pub attributes: MountAttributes,
    /// Attributes of this mount and all below (`rro`, …).
    pub recursive_attributes: MountAttributes,
    /// Propagation type and whether it is for all below too.
    pub propagation: Option<(u64, bool)>,
    /// What is left for the file system: `size=64m`, `newinstance`.
    pub data: Vec<String>,
}

/// Sorts options.
///
/// # Errors
/// `Unsupported` for those that are known and not honoured.
pub fn parse(options: &[String]) -> Result<MountOptions> {
    let mut parsed = MountOptions::default();
    for option in options {
        parsed.add(option)?;
    }
    Ok(parsed)
}

impl MountOptions {
    fn add(&mut self, option: &str) -> Result<()> {
        if let Some((bits, on)) = attribute(option) {
            change(&mut self.attributes, bits, on);
            return Ok(());
        }
        if let Some((bits, on)) = option.strip_prefix('r').and_then(attribute) {
            change(&mut self.recursive_attributes, bits, on);
            return Ok(());
        }
        if let Some(kind) = propagation_type(option) {
            self.propagation = Some((kind, false));
            return Ok(());
        }
        if let Some(kind) = option.strip_prefix('r').and_then(propagation_type) {
            self.propagation = Some((kind, true));
            return Ok(());
        }
        match option {
            "bind" => self.bind = true,
            "rbind" => {
                self.bind = true;
                self.recursive_bind = true;
            }
            // Neither has an effect on a mount of its own; `relatime` is what the kernel does anyway.
            "defaults" | "relatime" | "norelatime" | "async" | "nomand" | "silent" | "loud"
            | "noiversion" | "remount" => {}
            "idmap" | "ridmap" | "tmpcopyup" | "copy-symlink" => {
                return Err(Error::unsupported(format!(
                    "mount option {option:?} is not offered"
                )));
            }
            other => self.data.push(other.to_owned()),
        }
        Ok(())
    }
}

fn change(attributes: &mut MountAttributes, bits: u64, on: bool) {
    let times = mount::ATIME_FIELD;
    if bits & times != 0 || bits == 0 {
        // One of several values in a field: the field is cleared first.
        attributes.clear |= times;
        attributes.set = attributes.set & !times | bits;
    } else if on {
        attributes.set |= bits;
        attributes.clear &= !bits;
    } else {
        attributes.set &= !bits;
        attributes.clear |= bits;
    }
}

fn attribute(option: &str) -> Option<(u64, bool)> {
    Some(match option {
        "ro" => (mount::RDONLY, true),
        "rw" => (mount::RDONLY, false),
        "nosuid" => (mount::NOSUID, true),
        "suid" => (mount::NOSUID, false),
        "nodev" => (mount::NODEV, true),
        "dev" => (mount::NODEV, false),
        "noexec" => (mount::NOEXEC, true),
        "exec" => (mount::NOEXEC, false),
        "nodiratime" => (mount::NODIRATIME, true),
        "diratime" => (mount::NODIRATIME, false),
        "nosymfollow" => (mount::NOSYMFOLLOW, true),
        "symfollow" => (mount::NOSYMFOLLOW, false),
        "noatime" => (mount::NOATIME, true),
        "strictatime" => (mount::STRICTATIME, true),
        // Back to the default, relatime, which is zero in the field.
        "atime" | "nostrictatime" => (0, true),
        _ => return None,
    })
}

fn propagation_type(option: &str) -> Option<u64> {
    Some(match option {
        "shared" => propagation::SHARED,
        "slave" => propagation::SLAVE,
        "private" => propagation::PRIVATE,
        "unbindable" => propagation::UNBINDABLE,
        _ => return None,
    })
}

/// The propagation type and recursion of `linux.rootfsPropagation`.
///
/// # Errors
/// `Invalid` for an unknown word.
pub fn rootfs_propagation(word: &str) -> Result<u64> {
    if word.is_empty() {
        return Ok(propagation::SLAVE);
    }
    propagation_type(word.strip_prefix('r').unwrap_or(word))
        .ok_or_else(|| Error::invalid(format!("linux.rootfsPropagation: unknown value {word:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> MountOptions {
        parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_later_of_two_opposites_wins() {
        assert_eq!(options(&["ro", "rw"]).attributes.set, 0);
        assert_eq!(options(&["rw", "ro"]).attributes.set, mount::RDONLY);
    }

    #[test]
    fn recursive_words_are_told_apart() {
        let parsed = options(&["rbind", "rro", "rprivate"]);
        assert!(parsed.recursive_bind);
        assert_eq!(parsed.recursive_attributes.set, mount::RDONLY);
        assert_eq!(parsed.attributes.set, 0);
        assert_eq!(parsed.propagation, Some((propagation::PRIVATE, true)));
        assert!(options(&["relatime"]).attributes.set == 0);
    }

    #[test]
    fn what_is_not_ours_goes_to_the_file_system() {
        assert_eq!(
            options(&["nosuid", "mode=755", "size=65536k", "newinstance"]).data,
            ["mode=755", "size=65536k", "newinstance"]
        );
    }

    #[test]
    fn access_time_settings_replace_each_other() {
        let parsed = options(&["noatime", "strictatime"]);
        assert_eq!(parsed.attributes.set, mount::STRICTATIME);
        assert_eq!(parsed.attributes.clear, mount::ATIME_FIELD);
    }

    #[test]
    fn id_mapped_mounts_are_refused() {
        assert!(parse(&["idmap".to_owned()]).is_err());
    }
}
