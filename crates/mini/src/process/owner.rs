//! What of the host a container's user must own when a user namespace gives it other ids: the pipes of its standard streams,
//! and on cgroup v2 the cgroup that is delegated to it. Only the parent can give them away.

use std::os::fd::{AsFd, BorrowedFd};

use cgroups::Cgroup;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Uid};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::process::finish::Stdio;
use crate::process::id_map;
use crate::spec::{IdMapping, NamespaceKind, Process, Spec};

/// What the kernel lists as delegatable, on kernels too old to list it.
const DELEGATABLE: &str =
    "cgroup.procs\ncgroup.threads\ncgroup.subtree_control\nmemory.oom.group\n";

/// Gives the standard streams and the cgroup to whom the container's first process runs as.
///
/// # Errors
/// `Invalid` for a user that is not mapped, `Sys`.
pub(crate) fn give(
    spec: &Spec,
    stdio: Stdio<'_>,
    cgroup: &Cgroup,
    ids: (&[IdMapping], &[IdMapping]),
) -> Result<()> {
    let Some(process) = spec.process() else {
        return Ok(());
    };
    let uid = give_streams(process, stdio, ids)?;
    if delegates(spec) && rustix::process::geteuid().is_root() {
        delegate(cgroup, uid)?;
    }
    Ok(())
}

/// Gives the standard streams to whom a process runs as; the user's id on the host.
///
/// # Errors
/// As [`give`].
pub(crate) fn give_streams(
    process: &Process,
    stdio: Stdio<'_>,
    (uids, gids): (&[IdMapping], &[IdMapping]),
) -> Result<u32> {
    let unmapped = |list: &str, id: u32| {
        Error::invalid(format!(
            "process.user: {id} is not among the ids of the user namespace"
        ))
        .with_hint(format!("map it in {list}, or run as another user"))
    };
    let (uid, gid) = (process.user.uid, process.user.gid);
    let uid = id_map::to_host(uids, uid).ok_or_else(|| unmapped("linux.uidMappings", uid))?;
    let gid = id_map::to_host(gids, gid).ok_or_else(|| unmapped("linux.gidMappings", gid))?;
    // Others have nothing to give.
    if rustix::process::geteuid().is_root() {
        chown_pipes(stdio, uid, gid)?;
    }
    Ok(uid)
}

fn chown_pipes(stdio: Stdio<'_>, uid: u32, gid: u32) -> Result<()> {
    let inherited = [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ];
    let streams: [BorrowedFd<'_>; 3] = match stdio {
        Stdio::Terminal => return Ok(()),
        Stdio::Inherited => inherited,
        Stdio::Descriptors(streams) => streams,
    };
    for stream in streams {
        // Not a file, a device or a socket, which is somebody's: a pipe is of whoever uses it.
        let is_pipe = rustix::fs::fstat(stream)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
        if !is_pipe {
            continue;
        }
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match rustix::fs::fchown(stream.as_fd(), owner.0, owner.1) {
            Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => {}
            Err(errno) => return Err(Error::sys("chown", "the standard streams", errno)),
        }
    }
    Ok(())
}

/// Whether the container manages its own part of the cgroup tree: it sees no more than that, and may write.
fn delegates(spec: &Spec) -> bool {
    let writable = spec.mounts.iter().any(|mount| {
        matches!(mount.kind.as_str(), "cgroup" | "cgroup2")
            && !mount.options.iter().any(|option| option == "ro")
    });
    spec.has_new(NamespaceKind::Cgroup) && writable
}

/// Source: kernel cgroup-v2.rst, Delegation; `/sys/kernel/cgroup/delegate`.
fn delegate(cgroup: &Cgroup, uid: u32) -> Result<()> {
    let Some(directory) = cgroup.v2_directory() else {
        return Ok(());
    };
    let names = std::fs::read_to_string("/sys/kernel/cgroup/delegate")
        .unwrap_or_else(|_| DELEGATABLE.into());
    for name in names.lines().chain([""]) {
        let path = if name.is_empty() {
            directory.to_owned()
        } else {
            directory.join(name)
        };
        match rustix::fs::chownat(CWD, &path, Some(Uid::from_raw(uid)), None, AtFlags::empty()) {
            // Of a controller that is not enabled here.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::sys("chown", path.display(), errno)),
        }
    }
    Ok(())
}
