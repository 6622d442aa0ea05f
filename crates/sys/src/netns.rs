//! Network namespaces that are held by a file, and work done inside them.
//!
//! A namespace belongs to a thread, and a thread of a runtime's pool is used again by others: so each piece of work gets
//! a thread of its own, which enters the namespace, does the work, hands back its result (sockets opened there stay in
//! that namespace wherever they are used later) and ends.
//!
//! A namespace is kept by a bind mount of its `nsfs` file, not by a process: what a crash leaves has a name and can be
//! listed and removed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::namespace::{Namespaces, unshare};

/// The calling thread's own network namespace, seen through the thread that looks.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// Why a network namespace could not be made, entered or removed.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// A file exists already at the path of a new namespace.
    #[error("create network namespace {}: file exists", path.display())]
    AlreadyExists {
        /// The path asked for.
        path: PathBuf,
    },
    /// The kernel refused a step.
    #[error("{operation} {}: {source}", path.display())]
    Sys {
        /// What was tried.
        operation: &'static str,
        /// The namespace's file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The work inside the namespace panicked.
    #[error("work in network namespace ended without a result")]
    Panicked,
}

fn sys(operation: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> NetnsError {
    let path = path.to_owned();
    move |errno| NetnsError::Sys {
        operation,
        path,
        source: errno.into(),
    }
}

/// Makes a new network namespace held at `path`, runs `work` inside it on a thread of its own, and returns its result.
///
/// When `work` itself returns an error of the caller's kind inside `T`, the namespace stays: the caller removes it.
///
/// # Errors
/// [`NetnsError::AlreadyExists`] when `path` exists; [`NetnsError::Sys`] when a system call is refused, with nothing left
/// at `path`; [`NetnsError::Panicked`] when `work` panics, with nothing left at `path`.
///
/// Source: `man 7 namespaces`, `man 8 ip-netns`.
pub fn create_with<T, F>(path: &Path, work: F) -> Result<T, NetnsError>
where
    T: Send,
    F: FnOnce(BorrowedFd<'_>) -> T + Send,
{
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_placeholder) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(NetnsError::AlreadyExists {
                path: path.to_owned(),
            });
        }
        Err(source) => {
            return Err(NetnsError::Sys {
                operation: "create",
                path: path.to_owned(),
                source,
            });
        }
    }
    let result = on_thread(|| {
        unshare(Namespaces::NET).map_err(|source| NetnsError::Sys {
            operation: "unshare network for",
            path: path.to_owned(),
            source,
        })?;
        mount_bind(OWN_NAMESPACE, path).map_err(sys("mount network namespace on", path))?;
        let own = open(path)?;
        Ok(work(own.as_fd()))
    });
    if result.is_err() {
        // The first error is the one to report; a leftover is found by its name.
        remove(path).ok();
    }
    result
}

/// Makes a new network namespace held at `path`, with nothing but a loopback link that is down.
///
/// # Errors
/// As [`create_with`].
pub fn create(path: &Path) -> Result<(), NetnsError> {
    create_with(path, |_| ())
}

/// Opens the namespace held at `path`.
///
/// # Errors
/// [`NetnsError::Sys`] when the file cannot be opened.
pub fn open(path: &Path) -> Result<OwnedFd, NetnsError> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(sys("open network namespace", path))
}

/// Opens the namespace that this process lives in.
///
/// # Errors
/// [`NetnsError::Sys`] when procfs is not there.
pub fn open_own() -> Result<OwnedFd, NetnsError> {
    open(Path::new(OWN_NAMESPACE))
}

/// Runs `work` inside the namespace `netns` on a thread of its own and returns its result.
///
/// # Errors
/// [`NetnsError::Sys`] when the namespace cannot be entered, [`NetnsError::Panicked`] when `work` panics.
///
/// Source: `man 2 setns`.
pub fn run<T, F>(netns: BorrowedFd<'_>, work: F) -> Result<T, NetnsError>
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    on_thread(|| {
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .map_err(sys("enter network namespace", Path::new("")))?;
        Ok(work())
    })
}

/// Runs `work` inside the namespace held at `path`, as [`run`].
///
/// # Errors
/// As [`open`] and [`run`].
pub fn run_at<T, F>(path: &Path, work: F) -> Result<T, NetnsError>
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    run(open(path)?.as_fd(), work)
}

/// Whether a namespace is held at `path`: the file exists and a namespace is mounted on it.
pub fn is_held(path: &Path) -> bool {
    // NSFS_MAGIC, include/uapi/linux/magic.h.
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    rustix::fs::statfs(path)
        .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| kind == NSFS_MAGIC))
}

/// Lets go of the namespace held at `path`. The kernel frees it and its links when nothing else uses it.
/// Nothing there is no error, so it may be repeated.
///
/// # Errors
/// [`NetnsError::Sys`] when the mount or the file cannot be removed.
pub fn remove(path: &Path) -> Result<(), NetnsError> {
    match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // EINVAL: nothing is mounted there.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(sys("unmount network namespace", path)(errno)),
    }
    match rustix::fs::unlink(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(sys("remove", path)(errno)),
    }
}

/// Writes `value` to the file `name` under `/proc/sys/net` of the calling thread's namespace.
///
/// # Errors
/// The file's error; a kernel without the setting gives `NotFound`.
pub fn write_sysctl(name: &str, value: &str) -> io::Result<()> {
    use io::Write as _;
    let path = Path::new("/proc/sys/net").join(name);
    File::options()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())
}

fn on_thread<T: Send>(
    work: impl FnOnce() -> Result<T, NetnsError> + Send,
) -> Result<T, NetnsError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".to_owned())
            .stack_size(512 * 1024)
            .spawn_scoped(scope, work)
            .map_err(|source| NetnsError::Sys {
                operation: "start thread for network namespace",
                path: PathBuf::new(),
                source,
            })?;
        thread.join().unwrap_or(Err(NetnsError::Panicked))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode_of_own_namespace() -> PathBuf {
        std::fs::read_link(OWN_NAMESPACE).unwrap()
    }

    #[test]
    fn kernel_namespace_is_made_entered_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns");
        let outside = inode_of_own_namespace();
        let made = create_with(&path, |_| inode_of_own_namespace()).unwrap();
        assert_ne!(made, outside);
        assert!(is_held(&path));
        assert_eq!(run_at(&path, inode_of_own_namespace).unwrap(), made);
        assert_eq!(inode_of_own_namespace(), outside);
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
    }

    #[test]
    fn kernel_existing_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns");
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(
            create(&path),
            Err(NetnsError::AlreadyExists { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn kernel_panic_inside_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns");
        let result: Result<(), _> = create_with(&path, |_| panic!("inside"));
        assert!(matches!(result, Err(NetnsError::Panicked)));
        assert!(!path.exists());
    }

    #[test]
    fn kernel_sysctl_is_written_in_the_namespace_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ns");
        let setting = "ipv4/ip_default_ttl";
        create_with(&path, |_| write_sysctl(setting, "77").unwrap()).unwrap();
        let read = || std::fs::read_to_string(Path::new("/proc/sys/net").join(setting)).unwrap();
        assert_eq!(run_at(&path, read).unwrap().trim(), "77");
        assert_ne!(read().trim(), "77");
        remove(&path).unwrap();
    }
}
