//! The sources of bind mounts in a container with a user namespace.
//!
//! They are opened before the process becomes the container's root, who may not be let through to them. It has the host's
//! user id then, but no rights over files: what lies in another user's private directory, the parent has to open, and what
//! shows mapped ids too. It does so in the container's mount namespace, where the kernel keeps what the host has
//! forbidden (read-only, no devices) forbidden, and where the mounts that were made before are seen.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socketpair};
use sys::namespace::Namespaces;
use sys::process::{Child, CloneOptions, clone3};

use crate::error::{Error, Result};
use crate::process::init::InitPlan;
use crate::process::spawn::end;
use crate::process::sync::{Channel, FromChild};
use crate::rootfs::bind;
use crate::rootfs::sources::{self, Sources};
use crate::spec::{Mount, Spec};

/// Longest answer without a descriptor: an error in words.
const MAX_ANSWER_BYTES: usize = 4096;

/// Opens the sources of all bind mounts, detached copies each; [`None`] for other mounts, for those that show mapped ids, and
/// for sources that are not there: an earlier mount may bring them.
///
/// # Errors
/// `Sys` for one that neither this process nor the parent can open.
pub(crate) fn open_all(
    spec: &Spec,
    bundle: &Path,
    channel: &Channel,
    sources: &Sources,
) -> Result<Vec<Option<OwnedFd>>> {
    let open = |(index, mount): (usize, &Mount)| {
        if !mount.is_bind() || sources.are_mapped(index) {
            return Ok(None);
        }
        match bind::open_source(bundle, mount) {
            Err(Errno::ACCESS) => ask_parent(index, channel).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(bind::source_error(bundle, mount, errno)),
            Ok(source) => Ok(Some(source)),
        }
    };
    spec.mounts.iter().enumerate().map(open).collect()
}

/// Has the parent open the source of a mount, by its place in the spec, with the ids that it maps.
///
/// # Errors
/// The parent's.
pub(crate) fn ask_parent(place: usize, channel: &Channel) -> Result<OwnedFd> {
    let error = |errno| Error::sys("ask the parent for", "the source of a mount", errno);
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(error)?;
    channel.tell_parent(&FromChild::Source(place), Some(theirs.as_fd()))?;
    drop(theirs);
    let mut buffer = [0u8; MAX_ANSWER_BYTES];
    loop {
        match sys::socket::receive_descriptor(ours.as_fd(), &mut buffer) {
            Ok((_, Some(source))) => return Ok(source),
            Ok((length, None)) => {
                let words = buffer.get(..length).unwrap_or_default();
                return Err(serde_json::from_slice(words).unwrap_or_else(|_| error(Errno::PIPE)));
            }
            Err(failure) if failure.kind() == std::io::ErrorKind::Interrupted => {}
            Err(failure) => return Err(Error::sys("hear the parent", "", failure)),
        }
    }
}

/// The parent's answer to [`ask_parent`]: by another process, which enters the child's mount namespace with our rights.
pub(crate) fn answer(plan: InitPlan<'_>, index: usize, child: &Child, reply: &OwnedFd) {
    let Some(mount) = plan.spec.mounts.get(index) else {
        return;
    };
    match clone3(CloneOptions::default()) {
        Ok(Some(opener)) => wait(&opener),
        Ok(None) => {
            match open(plan, index, mount, child) {
                Ok(source) => drop(sys::socket::send_descriptor(
                    reply.as_fd(),
                    b"s",
                    source.as_fd(),
                )),
                Err(error) => {
                    let words = serde_json::to_vec(&error).unwrap_or_default();
                    rustix::net::send(reply, &words, SendFlags::NOSIGNAL).ok();
                }
            }
            sys::process::exit_now(0)
        }
        Err(_) => {}
    }
}

fn open(plan: InitPlan<'_>, index: usize, mount: &Mount, child: &Child) -> Result<OwnedFd> {
    sys::namespace::enter(child.pidfd.as_fd(), Namespaces::MOUNT)
        .map_err(|error| Error::sys("enter", "the container's mount namespace", error))?;
    let source = bind::open_source(plan.bundle, mount)
        .map_err(|errno| bind::source_error(plan.bundle, mount, errno))?;
    if let Some(ids) = plan.sources.take(index) {
        sources::map(&source, &ids, &plan.bundle.join(&mount.source))?;
    }
    Ok(source)
}

fn wait(opener: &Child) {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    // Its end, then its remains.
    let id = WaitId::PidFd(opener.pidfd.as_fd());
    waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).ok();
    end(&opener.pidfd);
}
