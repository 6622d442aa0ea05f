//! What each capability allows, and how far it opens the way to the host.
//!
//! Source: man 7 capabilities.

use observe::inside::{CAPABILITIES, CapabilitySets};

use crate::text;

/// What follows for the host if a container with this capability is taken over. Without a user namespace of its own, that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// It stays within the container.
    Low,
    /// It disturbs others on the machine, or helps an attack.
    Medium,
    /// It can be made into control over the host.
    High,
}

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// What it allows, in a sentence.
    pub sentence: &'static str,
    /// What it opens.
    pub risk: Risk,
    /// Docker gives it to every container unless told otherwise.
    pub default: bool,
}

/// Capabilities that Docker gives by default.
pub const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
];

/// All of them, in the order of their numbers.
pub fn all() -> impl Iterator<Item = Capability> {
    CAPABILITIES.into_iter().map(describe)
}

/// The capability of a name; `None` for one that Linux does not have (yet).
pub fn of_name(name: &str) -> Option<Capability> {
    CAPABILITIES
        .into_iter()
        .find(|known| *known == name)
        .map(describe)
}

fn describe(name: &'static str) -> Capability {
    use Risk::{High, Low, Medium};
    let (sentence, risk) = match name {
        "CAP_CHOWN" => ("Give files to any user or group.", Low),
        "CAP_DAC_OVERRIDE" => (
            "Read, write and execute files whatever their permissions say.",
            Low,
        ),
        "CAP_DAC_READ_SEARCH" => (
            "Read any file and directory, and open files by handle, which reaches outside of the container's root.",
            High,
        ),
        "CAP_FOWNER" => (
            "Change permissions and attributes of files that belong to others.",
            Low,
        ),
        "CAP_FSETID" => ("Keep the set-user-id bits when a file is changed.", Low),
        "CAP_KILL" => (
            "Send signals to processes of any user that it can see.",
            Low,
        ),
        "CAP_SETGID" => ("Become any group.", Low),
        "CAP_SETUID" => ("Become any user.", Low),
        "CAP_SETPCAP" => ("Change its own capability sets within what it has.", Low),
        "CAP_LINUX_IMMUTABLE" => (
            "Set and clear the immutable and append-only flags of files.",
            Low,
        ),
        "CAP_NET_BIND_SERVICE" => ("Listen on ports below 1024.", Low),
        "CAP_NET_BROADCAST" => ("Send broadcasts; the kernel does not use it today.", Low),
        "CAP_NET_ADMIN" => (
            "Change interfaces, routes and firewall of its network; of the machine's with --network=host.",
            Medium,
        ),
        "CAP_NET_RAW" => (
            "Make raw packets, for ping, but also to fake addresses towards neighbours on the same bridge.",
            Medium,
        ),
        "CAP_IPC_LOCK" => ("Lock memory so that it is never swapped out.", Low),
        "CAP_IPC_OWNER" => (
            "Use System V shared memory and queues whatever their permissions say.",
            Low,
        ),
        "CAP_SYS_MODULE" => (
            "Load kernel modules, which is full control over the machine.",
            High,
        ),
        "CAP_SYS_RAWIO" => (
            "Reach hardware ports and raw memory, which is full control over the machine.",
            High,
        ),
        "CAP_SYS_CHROOT" => (
            "Use chroot, and enter mount namespaces together with other rights.",
            Low,
        ),
        "CAP_SYS_PTRACE" => (
            "Trace and change the memory of other processes that it can see; of the machine's with --pid=host.",
            High,
        ),
        "CAP_SYS_PACCT" => (
            "Switch process accounting on and off for the whole machine.",
            Medium,
        ),
        "CAP_SYS_ADMIN" => (
            "Mount, set up namespaces, quotas and much more: so broad that it is close to root on the host.",
            High,
        ),
        "CAP_SYS_BOOT" => ("Reboot the machine and load another kernel.", High),
        "CAP_SYS_NICE" => (
            "Raise priorities and choose CPUs and realtime scheduling.",
            Medium,
        ),
        "CAP_SYS_RESOURCE" => ("Pass resource limits and disk quotas.", Medium),
        "CAP_SYS_TIME" => (
            "Set the machine's clock, which all containers share.",
            Medium,
        ),
        "CAP_SYS_TTY_CONFIG" => ("Configure virtual terminals and hang them up.", Medium),
        "CAP_MKNOD" => (
            "Make device nodes; whether they can be opened is decided by the device list of its control group.",
            Low,
        ),
        "CAP_LEASE" => (
            "Take leases on files, to be told when others open them.",
            Low,
        ),
        "CAP_AUDIT_WRITE" => ("Write messages to the kernel's audit log.", Low),
        "CAP_AUDIT_CONTROL" => (
            "Switch kernel auditing on and off and change its rules.",
            High,
        ),
        "CAP_SETFCAP" => ("Give capabilities to program files.", Low),
        "CAP_MAC_OVERRIDE" => ("Ignore the rules of the Smack security module.", High),
        "CAP_MAC_ADMIN" => ("Change rules of security modules such as AppArmor.", High),
        "CAP_SYSLOG" => (
            "Read the kernel's log and kernel addresses, which helps to attack it.",
            Medium,
        ),
        "CAP_WAKE_ALARM" => ("Set timers that wake the machine from sleep.", Low),
        "CAP_BLOCK_SUSPEND" => ("Keep the machine from going to sleep.", Low),
        "CAP_AUDIT_READ" => ("Read the kernel's audit log.", Medium),
        "CAP_PERFMON" => (
            "Watch the performance of the whole machine, from which secrets may leak.",
            Medium,
        ),
        "CAP_BPF" => ("Load BPF programs into the kernel.", High),
        "CAP_CHECKPOINT_RESTORE" => (
            "Freeze processes to disk and bring them back, choosing their ids.",
            Medium,
        ),
        _ => ("A capability that this version does not know.", Medium),
    };
    Capability {
        name,
        sentence,
        risk,
        default: DEFAULT.contains(&name),
    }
}

/// The capabilities of a process in one sentence.
pub fn sentence(sets: &CapabilitySets) -> String {
    let powerful: Vec<&str> = sets
        .bounding
        .iter()
        .filter(|name| of_name(name).is_none_or(|known| known.risk == Risk::High))
        .map(String::as_str)
        .collect();
    let has = text::count(sets.effective.len(), "capability", "capabilities");
    if sets.effective.len() >= CAPABILITIES.len() {
        return format!(
            "The process has all {has}: it is as powerful as root on the host (--privileged)."
        );
    }
    let start = if sets.effective.is_empty() {
        "The process has none of root's special rights".to_owned()
    } else {
        format!(
            "Root's power is split into {}; the process has {has} of them",
            CAPABILITIES.len()
        )
    };
    if powerful.is_empty() {
        format!("{start}, and can gain none that leads to control over the host.")
    } else {
        format!(
            "{start}, and may use or gain {}, which can lead to control over the host.",
            powerful.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_its_own_sentence() {
        let sentences: std::collections::BTreeSet<_> = all().map(|one| one.sentence).collect();
        assert_eq!(sentences.len(), CAPABILITIES.len());
        assert!(!sentences.contains("A capability that this version does not know."));
        assert_eq!(all().filter(|one| one.default).count(), DEFAULT.len());
        assert!(
            all()
                .filter(|one| one.default)
                .all(|one| one.risk < Risk::High)
        );
    }

    #[test]
    fn the_default_set_is_said_to_be_harmless_and_more_is_not() {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        let mut sets = CapabilitySets {
            effective: names(&DEFAULT),
            bounding: names(&DEFAULT),
            ..CapabilitySets::default()
        };
        assert!(sentence(&sets).contains("14 capabilities of them, and can gain none"));
        sets.bounding.push("CAP_SYS_ADMIN".into());
        assert!(sentence(&sets).contains("CAP_SYS_ADMIN, which can lead"));
        sets.effective = names(&CAPABILITIES);
        assert!(sentence(&sets).contains("--privileged"));
    }
}
