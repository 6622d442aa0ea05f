//! A process between the parent and the container's process: it enters namespaces that the parent could not leave again,
//! makes the process as the parent's own child, and ends.
//!
//! Needed when a user namespace is entered, or others before a new one is made. A start without costs no process.

use std::os::fd::{AsFd, BorrowedFd};

use sys::process::{Child, CloneOptions, clone3};

use crate::error::{Error, Result};
use crate::process::id_map::refused_clone;
use crate::process::spawn::end;
use crate::process::sync::{FromChild, channel};

/// Makes a child of this process by another, which calls `enter` before: [`None`] in the child. The cgroup is entered first
/// of all, so that nothing of the container is touched from outside of it.
///
/// # Errors
/// That of `enter`, or `Sys`.
pub(crate) fn clone_through(
    cgroup: Option<BorrowedFd<'_>>,
    enter: impl FnOnce() -> Result<()>,
    options: CloneOptions<'_>,
) -> Result<Option<Child>> {
    let (ours, theirs) = channel()?;
    let first = CloneOptions {
        cgroup,
        ..CloneOptions::default()
    };
    let relay = clone3(first).map_err(|error| Error::sys("clone3", "", error))?;
    let Some(relay) = relay else {
        drop(ours);
        let sibling = CloneOptions {
            cgroup: None,
            as_sibling: true,
            ..options
        };
        let made = enter().and_then(|()| clone3(sibling).map_err(|error| refused_clone(&error)));
        // When the parent is gone there is nobody left to tell; the child finds out by itself.
        match made {
            Ok(None) => return Ok(None),
            Ok(Some(child)) => {
                let message = FromChild::Relayed(child.pid);
                drop(theirs.tell_parent(&message, Some(child.pidfd.as_fd())));
            }
            Err(error) => drop(theirs.tell_parent(&FromChild::Failed(error), None)),
        }
        sys::process::exit_now(0)
    };
    drop(theirs);
    let heard = ours.hear_child(&mut Vec::new());
    end(&relay.pidfd);
    match heard? {
        Some((FromChild::Relayed(pid), Some(pidfd))) => Ok(Some(Child { pid, pidfd })),
        Some((FromChild::Failed(error), _)) => Err(error),
        _ => Err(Error::new(
            crate::error::ErrorKind::Sys,
            "enter the container's namespaces: the process that does it ended",
        )),
    }
}
