//! The sources of bind mounts in a container with a user namespace.
//!
//! They are opened before the process becomes the container's root, who may not be let through to them. It has the host's
//! user id then, but no rights over files: what lies in another user's private directory, the parent has to open. It does so in
//! the container's mount namespace, where the kernel keeps what the host has forbidden (read-only, no devices) forbidden.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use sys::namespace::Namespaces;
use sys::process::{Child, CloneOptions, clone3};

use crate::error::{Error, Result};
use crate::process::spawn::end;
use crate::process::sync::{Channel, FromChild};
use crate::rootfs::mounts;
use crate::spec::{Mount, Spec};

/// Opens the sources of all bind mounts, detached copies each; [`None`] for other mounts.
///
/// # Errors
/// `Sys` for one that neither this process nor the parent can open.
pub(crate) fn open_all(
    spec: &Spec,
    bundle: &Path,
    channel: &Channel,
) -> Result<Vec<Option<OwnedFd>>> {
    let open = |(index, mount): (usize, &Mount)| {
        if !mounts::is_bind(mount) {
            return Ok(None);
        }
        let source = match mounts::open_source(bundle, mount) {
            Err(Errno::ACCESS) => ask_parent(index, channel)?.ok_or(Errno::ACCESS),
            outcome => outcome,
        };
        source
            .map(Some)
            .map_err(|errno| mounts::source_error(bundle, mount, errno))
    };
    spec.mounts.iter().enumerate().map(open).collect()
}

fn ask_parent(index: usize, channel: &Channel) -> Result<Option<OwnedFd>> {
    let error = |errno| Error::sys("ask the parent for", "the source of a mount", errno);
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(error)?;
    channel.tell_parent(&FromChild::Source(index), Some(theirs.as_fd()))?;
    drop(theirs);
    loop {
        match sys::socket::receive_descriptor(ours.as_fd(), &mut [0u8; 1]) {
            Ok((_, source)) => return Ok(source),
            Err(failure) if failure.kind() == std::io::ErrorKind::Interrupted => {}
            Err(failure) => return Err(Error::sys("hear the parent", "", failure)),
        }
    }
}

/// The parent's answer to [`open_all`]: by another process, which enters the child's mount namespace with our rights. An
/// answer that does not come says no.
pub(crate) fn answer(spec: &Spec, bundle: &Path, index: usize, child: &Child, reply: &OwnedFd) {
    let Some(mount) = spec.mounts.get(index) else {
        return;
    };
    match clone3(CloneOptions::default()) {
        Ok(Some(opener)) => wait(&opener),
        Ok(None) => {
            if sys::namespace::enter(child.pidfd.as_fd(), Namespaces::MOUNT).is_ok()
                && let Ok(source) = mounts::open_source(bundle, mount)
            {
                drop(sys::socket::send_descriptor(
                    reply.as_fd(),
                    b"s",
                    source.as_fd(),
                ));
            }
            sys::process::exit_now(0)
        }
        Err(_) => {}
    }
}

fn wait(opener: &Child) {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    // Its end, then its remains.
    let id = WaitId::PidFd(opener.pidfd.as_fd());
    waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).ok();
    end(&opener.pidfd);
}
