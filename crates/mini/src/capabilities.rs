//! Capabilities: their names, and the order in which the five sets of a process are brought to what was asked.
//!
//! Source: `man 7 capabilities`; runtime-spec config.md, `process.capabilities`.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};

use crate::error::{Error, Result};
use crate::spec;

/// Names by number, as of Linux 6.18.
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The bit of a capability's name; [`None`] for an unknown one.
pub fn bit_of(name: &str) -> Option<u64> {
    NAMES
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name))
        .map(|number| 1 << number)
}

/// The five sets as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
}

impl Sets {
    /// The sets that the spec asks for, of those that this process can give: a capability that the machine's own
    /// root lacks is left out, as runc does, since the container could not use it anyway; so is one that has no meaning
    /// here ([`unknown`]).
    pub fn of(capabilities: &spec::Capabilities) -> Self {
        let bits = |names: &[String]| {
            names
                .iter()
                .filter_map(|name| bit_of(name))
                .fold(0, |bits, bit| bits | bit)
        };
        Self {
            bounding: bits(&capabilities.bounding),
            effective: bits(&capabilities.effective),
            permitted: bits(&capabilities.permitted),
            inheritable: bits(&capabilities.inheritable),
            ambient: bits(&capabilities.ambient),
        }
    }

    /// Drops from the bounding set what is not in it any more. Needs `CAP_SETPCAP`: before the user is changed.
    ///
    /// # Errors
    /// `Sys`.
    pub fn drop_bounding(&self) -> Result<()> {
        for number in 0..64u32 {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            // The kernel says EINVAL beyond its last capability: newer ones than we have names for are dropped too.
            match capability_is_in_bounding_set(capability) {
                Ok(true) if self.bounding & capability.bits() == 0 => {
                    remove_capability_from_bounding_set(capability).map_err(|errno| {
                        Error::sys("drop from the bounding set", name_of(number), errno)
                    })?;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Sets the other four. After the user is changed, with the permitted set kept through that.
    ///
    /// # Errors
    /// `Sys`.
    pub fn apply(&self) -> Result<()> {
        let have = rustix::thread::capabilities(None)
            .map_err(|errno| Error::sys("capget", "", errno))?
            .permitted
            .bits();
        let permitted = self.permitted & have;
        let sets = CapabilitySets {
            effective: CapabilitySet::from_bits_retain(self.effective & permitted),
            permitted: CapabilitySet::from_bits_retain(permitted),
            inheritable: CapabilitySet::from_bits_retain(self.inheritable & have),
        };
        set_capabilities(None, sets).map_err(|errno| Error::sys("capset", "", errno))?;
        clear_ambient_capability_set()
            .map_err(|errno| Error::sys("clear the ambient set", "", errno))?;
        // The kernel demands that an ambient capability is permitted and inheritable.
        let ambient = self.ambient & permitted & self.inheritable;
        for number in (0..64u32).filter(|number| ambient & (1 << number) != 0) {
            configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(1 << number), true)
                .map_err(|errno| Error::sys("raise in the ambient set", name_of(number), errno))?;
        }
        Ok(())
    }
}

/// Names that are no capability that we know of, each once.
pub fn unknown(capabilities: &spec::Capabilities) -> Vec<&str> {
    let mut names: Vec<&str> = [
        &capabilities.bounding,
        &capabilities.effective,
        &capabilities.permitted,
        &capabilities.inheritable,
        &capabilities.ambient,
    ]
    .into_iter()
    .flatten()
    .map(String::as_str)
    .filter(|name| bit_of(name).is_none())
    .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Names asked for in the ambient set that cannot be there, since they are not permitted and inheritable.
pub fn not_to_be_raised(capabilities: &spec::Capabilities) -> impl Iterator<Item = &str> {
    let sets = Sets::of(capabilities);
    let raisable = sets.permitted & sets.inheritable;
    capabilities
        .ambient
        .iter()
        .map(String::as_str)
        .filter(move |name| bit_of(name).is_some_and(|bit| bit & raisable == 0))
}

fn name_of(number: u32) -> String {
    usize::try_from(number)
        .ok()
        .and_then(|index| NAMES.get(index))
        .map_or_else(|| number.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        assert_eq!(bit_of("CAP_CHOWN"), Some(1));
        assert_eq!(bit_of("CAP_SYS_ADMIN"), Some(1 << 21));
        assert_eq!(bit_of("cap_checkpoint_restore"), Some(1 << 40));
        assert_eq!(bit_of("CAP_EVERYTHING"), None);
    }

    #[test]
    fn what_is_not_given_is_named() {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let capabilities = spec::Capabilities {
            bounding: list(&["CAP_FLY", "CAP_KILL"]),
            effective: list(&["CAP_FLY", "CAP_SWIM"]),
            permitted: list(&["CAP_KILL", "CAP_CHOWN"]),
            inheritable: list(&["CAP_KILL"]),
            ambient: list(&["CAP_KILL", "CAP_CHOWN"]),
        };
        assert_eq!(unknown(&capabilities), ["CAP_FLY", "CAP_SWIM"]);
        assert_eq!(Sets::of(&capabilities).bounding, 1 << 5);
        let not: Vec<_> = not_to_be_raised(&capabilities).collect();
        assert_eq!(not, ["CAP_CHOWN"]);
    }
}
