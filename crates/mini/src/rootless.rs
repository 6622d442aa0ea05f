//! Running as an ordinary user, or as root of a user namespace: what is where then, and what may be missing.

use std::path::PathBuf;

use cgroups::{Cgroup, Resources};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};
use crate::process::id_map;

/// Where the state is kept by root.
const ROOT: &str = "/run/mini";

/// Where the state of containers is kept when `--root` does not say. As runc's rule: below `$XDG_RUNTIME_DIR` for an
/// ordinary user, and for root of a user namespace that another user has made.
pub fn default_root() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(directory) if !directory.is_empty() && honours_user_directory() => {
            PathBuf::from(directory).join("mini")
        }
        _ => ROOT.into(),
    }
}

fn honours_user_directory() -> bool {
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    // The machine's root may have the variable set, for a session that is not about this program.
    std::env::var_os("USER").is_none_or(|user| user != "root") && in_user_namespace()
}

/// Whether this process is in another user namespace than the machine's first.
pub fn in_user_namespace() -> bool {
    let all = |ranges: &[crate::spec::IdMapping]| matches!(ranges, [range] if (range.container_id, range.host_id, range.size) == (0, 0, u32::MAX));
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|text| id_map::parse(&text).is_some_and(|ranges| !all(&ranges)))
}

/// Whether a container may go without a cgroup when the kernel refuses one: what `--rootless` says, else whether we are
/// an ordinary user or root of a user namespace.
pub fn may_lack_cgroup(flag: Option<bool>) -> bool {
    flag.unwrap_or_else(|| !rustix::process::geteuid().is_root() || in_user_namespace())
}

/// What to do when a container's cgroup was refused: it goes without one when nothing was asked of it.
///
/// # Errors
/// The refusal, when the spec names a cgroup, or wants limits.
pub fn without_cgroup(
    refusal: cgroups::Error,
    flag: Option<bool>,
    names_cgroup: bool,
    limits: &Resources,
) -> Result<Cgroup> {
    let unpermitted = match &refusal {
        cgroups::Error::NotMounted { .. } => true,
        other => matches!(
            other.errno(),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS)
        ),
    };
    if !unpermitted || !may_lack_cgroup(flag) {
        return Err(refusal.into());
    }
    if !names_cgroup && *limits == Resources::default() {
        return Ok(Cgroup::none());
    }
    // runc's words: callers look for them.
    Err(Error::new(
        ErrorKind::Sys,
        format!(
            "unable to apply cgroup configuration: rootless needs no limits + no cgrouppath when no permission is granted for cgroups: {refusal}"
        ),
    )
    .with_hint(
        "limits need a cgroup that is delegated to this user: on cgroup v2 with systemd, run below \
         `systemd-run --user --scope --property=Delegate=yes`; or leave out linux.resources and linux.cgroupsPath",
    ))
}

/// The cgroup below which an ordinary user's containers are put on v2, with a slash at its end: the one that holds the
/// cgroup of this process. That one itself has processes, so no controllers can be enabled below it; the service manager
/// gives the user the one above.
pub fn cgroup_parent() -> Option<String> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let memberships = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    parent_of(&memberships)
}

fn parent_of(memberships: &str) -> Option<String> {
    // With v1 hierarchies nothing is delegated that containers could be made in.
    let own = memberships.trim_end().strip_prefix("0::")?;
    let (parent, _) = own.rsplit_once('/')?;
    (!own.contains('\n')).then(|| format!("{parent}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_containers_are_beside_the_users_processes() {
        assert_eq!(
            parent_of("0::/user.slice/user-1000.slice/session-3.scope\n").as_deref(),
            Some("/user.slice/user-1000.slice/")
        );
        assert_eq!(parent_of("0::/\n").as_deref(), Some("/"));
        assert_eq!(parent_of("4:memory:/x\n0::/\n"), None);
        assert_eq!(parent_of("0::/x\n1:name=systemd:/\n"), None);
    }

    #[test]
    fn the_flag_decides_before_the_user_does() {
        assert!(may_lack_cgroup(Some(true)));
        assert!(!may_lack_cgroup(Some(false)));
    }
}
