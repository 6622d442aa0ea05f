//! Which capabilities a container's processes may have.
//!
//! Source: man 7 capabilities; moby daemon/pkg/oci/caps (what `--cap-add`, `--cap-drop` and `ALL` mean).

use std::{collections::BTreeSet, sync::LazyLock};

use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

use crate::error::{EngineError, Result};

/// Names by number, as of Linux 6.18, without `CAP_`.
const NAMES: &str = "\
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID \
    SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER \
    SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE \
    SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP \
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF \
    CHECKPOINT_RESTORE";

/// What a container has when nothing else is asked for: Docker's fourteen without three that attackers have had more
/// use of than programs. `NET_RAW` forges packets of its neighbours (`ping` works without it, by `ping_group_range`),
/// `MKNOD` makes nodes of the host's disks, and `AUDIT_WRITE` writes to the host's audit log.
const DEFAULT: &str = "\
    CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP";

/// The word for all of them.
const ALL: &str = "CAP_ALL";

/// What this engine can give: what its own bounding set holds, which on some hosts is not everything.
static AVAILABLE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    full_names(NAMES)
        .zip(0..u64::BITS)
        .filter(|(_, number)| {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            // The kernel refuses numbers that it does not know.
            capability_is_in_bounding_set(capability).unwrap_or(false)
        })
        .map(|(name, _)| name)
        .collect()
});

/// Returns the capabilities of a container, as names with `CAP_`.
///
/// # Errors
/// `Invalid`, in Docker's words, for a name that does not exist or that this host cannot give.
pub(crate) fn effective(
    cap_add: &[String],
    cap_drop: &[String],
    privileged: bool,
) -> Result<BTreeSet<String>> {
    effective_of(&AVAILABLE, cap_add, cap_drop, privileged)
}

fn effective_of(
    available: &BTreeSet<String>,
    cap_add: &[String],
    cap_drop: &[String],
    privileged: bool,
) -> Result<BTreeSet<String>> {
    let added = normalized(cap_add)?;
    let dropped = normalized(cap_drop)?;
    if privileged {
        return Ok(available.clone());
    }
    if let Some(missing) = added
        .iter()
        .find(|name| *name != ALL && !available.contains(*name))
    {
        return Err(EngineError::Invalid(format!(
            "capability not supported by your kernel or not available in the current environment: {missing:?}"
        )));
    }
    if added.contains(ALL) {
        return Ok(available - &dropped);
    }
    if dropped.contains(ALL) {
        return Ok(added);
    }
    let default = full_names(DEFAULT).filter(|name| available.contains(name));
    Ok(&(&default.collect::<BTreeSet<_>>() - &dropped) | &added)
}

/// The names with `CAP_`, in upper case.
fn normalized(names: &[String]) -> Result<BTreeSet<String>> {
    names
        .iter()
        .map(|name| {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let full = format!("CAP_{bare}");
            let known = full == ALL || NAMES.split_whitespace().any(|known| known == bare);
            known
                .then_some(full.clone())
                .ok_or_else(|| EngineError::Invalid(format!("unknown capability: {full:?}")))
        })
        .collect()
}

fn full_names(bare: &str) -> impl Iterator<Item = String> {
    bare.split_whitespace().map(|name| format!("CAP_{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(add: &[&str], drop: &[&str], privileged: bool) -> Result<BTreeSet<String>> {
        let without_one: BTreeSet<_> = full_names(NAMES)
            .filter(|name| name != "CAP_SYS_RESOURCE")
            .collect();
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        effective_of(&without_one, &owned(add), &owned(drop), privileged)
    }

    #[test]
    fn there_are_as_many_names_as_the_kernel_has_numbers() {
        assert_eq!(full_names(NAMES).count(), 41);
        assert_eq!(full_names(NAMES).nth(21).unwrap(), "CAP_SYS_ADMIN");
        let last: usize = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert!(
            last < 41,
            "the kernel has newer capabilities: add their names"
        );
    }

    #[test]
    fn eleven_are_given_unless_asked_otherwise() {
        let default = of(&[], &[], false).unwrap();
        assert_eq!(default.len(), 11);
        assert!(!default.contains("CAP_NET_RAW"));
        let changed = of(&["net_raw", "CAP_NET_ADMIN"], &["chown", "CAP_KILL"], false).unwrap();
        assert_eq!(changed.len(), 11);
        assert!(changed.contains("CAP_NET_RAW") && changed.contains("CAP_NET_ADMIN"));
        assert!(!changed.contains("CAP_CHOWN") && !changed.contains("CAP_KILL"));
    }

    #[test]
    fn all_can_be_added_and_dropped() {
        assert_eq!(of(&["ALL"], &[], false).unwrap().len(), 40);
        let most = of(&["all"], &["SYS_ADMIN"], false).unwrap();
        assert_eq!(most.len(), 39);
        assert!(!most.contains("CAP_SYS_ADMIN"));
        assert!(of(&[], &["ALL"], false).unwrap().is_empty());
        let one = of(&["SETUID"], &["CAP_ALL"], false).unwrap();
        assert_eq!(one.into_iter().collect::<Vec<_>>(), ["CAP_SETUID"]);
        assert_eq!(of(&[], &["CHOWN"], true).unwrap().len(), 40);
    }

    #[test]
    fn names_that_cannot_be_given_are_refused() {
        let message = |add: &str| of(&[add], &[], false).unwrap_err().to_string();
        assert_eq!(message("fly"), r#"unknown capability: "CAP_FLY""#);
        assert_eq!(message(""), r#"unknown capability: "CAP_""#);
        assert_eq!(
            message("SYS_RESOURCE"),
            r#"capability not supported by your kernel or not available in the current environment: "CAP_SYS_RESOURCE""#
        );
        assert!(of(&[], &["CAP_CAP_KILL"], false).is_err());
        // Not to have what cannot be had is fine.
        assert!(of(&[], &["SYS_RESOURCE"], false).is_ok());
    }

    #[test]
    fn the_engine_gives_no_more_than_it_has() {
        let own = rustix::thread::capabilities(None)
            .unwrap()
            .permitted
            .bits()
            .count_ones();
        let all = effective(&[], &[], true).unwrap();
        assert!(all.len() >= usize::try_from(own).unwrap());
    }
}
