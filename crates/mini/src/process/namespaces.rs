//! The namespaces of a container: those it gets new, those it joins by a path, and in which order.
//!
//! With a new user namespace all other new ones belong to it, since the kernel makes it first. One that is joined belongs to
//! whom it did before: it is entered before the new user namespace, in which we have no right to it any more. Where a user
//! namespace is joined too, others may permit us before it or only after it: both are tried, as runc does.
//!
//! Source: `man 7 user_namespaces`, `man 2 setns`.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sys::namespace::Namespaces;

use crate::error::{Error, Result};
use crate::spec::{Linux, NamespaceKind, Spec};

/// Which user namespace a container has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserNamespace {
    /// Ours.
    Shared,
    /// One of its own, whose ids we write.
    New,
    /// One that exists.
    Joined,
}

/// A namespace to join, open.
#[derive(Debug)]
pub(crate) struct Joined {
    kind: Namespaces,
    path: String,
    file: OwnedFd,
}

impl Joined {
    pub(crate) fn kind(&self) -> Namespaces {
        self.kind
    }
}

/// Opens all namespaces that are given by path, before any of them is entered: afterwards the path may lead elsewhere. Our
/// own user namespace, which cannot be entered, is left out.
///
/// # Errors
/// `Sys`; `Invalid` for a file that is no namespace of the kind.
pub(crate) fn open_all(linux: &Linux) -> Result<Vec<Joined>> {
    let mut all = Vec::new();
    for namespace in &linux.namespaces {
        if namespace.path.is_empty() {
            continue;
        }
        let kind = flag_of(namespace.kind);
        let file = open(&namespace.path, kind)?;
        if kind == Namespaces::USER && is_own(&file, kind) {
            continue;
        }
        all.push(Joined {
            kind,
            path: namespace.path.clone(),
            file,
        });
    }
    Ok(all)
}

fn open(path: &str, kind: Namespaces) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let error = Error::sys("open namespace", path, errno);
        match errno {
            Errno::NOENT => {
                error.with_hint("the process or the mount that kept the namespace is gone")
            }
            _ => error,
        }
    })?;
    let found = sys::namespace::kind_of(file.as_fd())
        .map_err(|error| Error::sys("look at namespace", path, error))?;
    match found {
        Some(found) if found == kind => Ok(file),
        Some(found) => Err(Error::invalid(format!(
            "linux.namespaces: {path} is a {} namespace, not a {} namespace",
            found.name(),
            kind.name()
        ))
        .with_hint("correct the type or the path in linux.namespaces")),
        None => Err(
            Error::invalid(format!("linux.namespaces: {path} is not a namespace")).with_hint(
                "a namespace is /proc/PID/ns/KIND, or a file that such a one is bound on",
            ),
        ),
    }
}

/// Whether an open namespace is the one that this process is in.
fn is_own(file: &OwnedFd, kind: Namespaces) -> bool {
    let own = std::fs::metadata(format!("/proc/self/ns/{}", kind.name()));
    match (own, rustix::fs::fstat(file)) {
        (Ok(own), Ok(file)) => (own.dev(), own.ino()) == (file.st_dev, file.st_ino),
        _ => false,
    }
}

/// Whether a process is in the same namespace of a kind as this one.
pub(crate) fn is_shared_with(pid: i32, kind: Namespaces) -> bool {
    let path = format!("/proc/{pid}/ns/{}", kind.name());
    open(&path, kind).is_ok_and(|file| is_own(&file, kind))
}

/// Enters them all: for that of processes, the next children do.
///
/// # Errors
/// `Sys`.
pub(crate) fn enter_all<'a>(joined: impl Iterator<Item = &'a Joined> + Clone) -> Result<()> {
    let is_user = |namespace: &&Joined| namespace.kind == Namespaces::USER;
    let user = joined.clone().find(is_user);
    let mut later = Vec::new();
    for namespace in joined.filter(|namespace| !is_user(namespace)) {
        match enter(namespace) {
            Err(Errno::PERM) if user.is_some() => later.push(namespace),
            outcome => outcome.map_err(|errno| refused(namespace, errno))?,
        }
    }
    for namespace in user.into_iter().chain(later) {
        enter(namespace).map_err(|errno| refused(namespace, errno))?;
    }
    Ok(())
}

fn enter(namespace: &Joined) -> Result<(), Errno> {
    sys::namespace::enter(namespace.file.as_fd(), namespace.kind)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn refused(namespace: &Joined, errno: Errno) -> Error {
    let error = Error::sys("enter namespace", &namespace.path, errno);
    match errno {
        Errno::PERM => error.with_hint(
            "it belongs to a user namespace in which we have no rights: join that one too \
             (linux.namespaces, type user), or make this one new",
        ),
        _ => error,
    }
}

/// Which user namespace a container with these joined ones has.
pub(crate) fn user_namespace(spec: &Spec, joined: &[Joined]) -> UserNamespace {
    if spec.has_new(NamespaceKind::User) {
        UserNamespace::New
    } else if joined
        .iter()
        .any(|namespace| namespace.kind == Namespaces::USER)
    {
        UserNamespace::Joined
    } else {
        UserNamespace::Shared
    }
}

/// Those to make in clone3. The cgroup namespace comes later, see `init`; so does one of clocks that are to be set first.
pub(crate) fn new_namespaces(spec: &Spec) -> Namespaces {
    let Some(linux) = &spec.linux else {
        return Namespaces::NONE;
    };
    linux
        .namespaces
        .iter()
        .filter(|namespace| {
            namespace.path.is_empty()
                && namespace.kind != NamespaceKind::Cgroup
                && (namespace.kind != NamespaceKind::Time || linux.time_offsets.is_empty())
        })
        .fold(Namespaces::NONE, |all, namespace| {
            all.with(flag_of(namespace.kind))
        })
}

/// The `CLONE_NEW*` flag of a kind.
pub(crate) fn flag_of(kind: NamespaceKind) -> Namespaces {
    match kind {
        NamespaceKind::Pid => Namespaces::PID,
        NamespaceKind::Network => Namespaces::NET,
        NamespaceKind::Mount => Namespaces::MOUNT,
        NamespaceKind::Ipc => Namespaces::IPC,
        NamespaceKind::Uts => Namespaces::UTS,
        NamespaceKind::User => Namespaces::USER,
        NamespaceKind::Cgroup => Namespaces::CGROUP,
        NamespaceKind::Time => Namespaces::TIME,
    }
}

/// Makes this process root of the user namespace that it has entered, where it is nobody so far, with all its capabilities
/// there.
///
/// # Errors
/// `Sys`.
pub(crate) fn become_root() -> Result<()> {
    let refused = |what: &str, list: &str, errno: Errno| {
        let error = Error::sys(what, "0 of the user namespace", errno);
        match errno {
            Errno::INVAL => error.with_hint(format!(
                "the container's root must be one of its ids: {list} lacks containerID 0"
            )),
            _ => error,
        }
    };
    let gid = rustix::fs::Gid::ROOT;
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(|errno| refused("become group", "linux.gidMappings", errno))?;
    let uid = rustix::fs::Uid::ROOT;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(|errno| refused("become user", "linux.uidMappings", errno))
}

/// Keeps the container's processes from looking into this one, and from steering it, while it has what they must not have:
/// descriptors of the host, rights that it drops later (CVE-2016-9962). Children inherit it; it ends with `execve`. From then on
/// the files of `/proc/self` are root's.
///
/// # Errors
/// `Sys`.
pub(crate) fn shut_out_tracers() -> Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| Error::sys("prctl", "PR_SET_DUMPABLE", errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_must_be_a_namespace_of_the_kind() {
        let wrong = open("/proc/self/ns/net", Namespaces::USER).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "linux.namespaces: /proc/self/ns/net is a net namespace, not a user namespace"
        );
        let none = open("/proc/self/status", Namespaces::NET).unwrap_err();
        assert_eq!(
            none.to_string(),
            "linux.namespaces: /proc/self/status is not a namespace"
        );
        assert!(open("/nonexistent", Namespaces::NET).is_err());
        let own = open("/proc/self/ns/user", Namespaces::USER).unwrap();
        assert!(is_own(&own, Namespaces::USER));
    }
}
