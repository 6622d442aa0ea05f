//! Mounts that nobody else sees, and that vanish with whoever made them.
//!
//! A tree of mounts that is needed for a moment (a stopped container's root file system with its volumes) is built in a
//! mount namespace of its own: nothing shows in the host's, nothing propagates, and when the process is killed the kernel
//! takes it all away. The tree stays for as long as its [`Tree`] is kept.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::{fchdir, pivot_root};

use crate::namespace::{Namespaces, unshare};

/// Why a tree could not be built.
#[derive(Debug, thiserror::Error)]
pub enum TreeError<E> {
    /// The kernel refused a step.
    #[error("{operation}: {source}")]
    Sys {
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// What was to build it says why not.
    #[error(transparent)]
    Build(E),
    /// What was to build it panicked.
    #[error("build of a mount tree ended without a result")]
    Panicked,
}

/// A tree of mounts in a namespace of its own.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
    /// Holds the namespace, and so the mounts below the root.
    _namespace: OwnedFd,
}

impl Tree {
    /// Runs `build` on a thread of its own in a new mount namespace, a copy of this one whose changes stay in it. `build`
    /// mounts the tree's root on a directory and returns that directory's path; everything else is then taken out of the
    /// namespace, so that no mount of the host is kept from being unmounted.
    ///
    /// # Errors
    /// What `build` says, or `Sys`. Nothing is left then.
    ///
    /// Source: `man 7 mount_namespaces`, `man 2 pivot_root`.
    pub fn build<P, E, F>(build: F) -> Result<Self, TreeError<E>>
    where
        P: AsRef<Path>,
        E: Send,
        F: FnOnce() -> Result<P, E> + Send,
    {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("mountns".to_owned())
                .stack_size(512 * 1024)
                .spawn_scoped(scope, || Self::on_this_thread(build))
                .map_err(sys("start thread for mount namespace"))?;
            thread.join().unwrap_or(Err(TreeError::Panicked))
        })
    }

    fn on_this_thread<P: AsRef<Path>, E>(
        build: impl FnOnce() -> Result<P, E>,
    ) -> Result<Self, TreeError<E>> {
        // This also gives the thread a working directory and root of its own.
        unshare(Namespaces::MOUNT).map_err(sys("unshare mount namespace"))?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).map_err(sys("make mounts private"))?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = openat(CWD, "/proc/thread-self/ns/mnt", flags, Mode::empty())
            .map_err(sys("open mount namespace"))?;
        let at = build().map_err(TreeError::Build)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, at.as_ref(), flags, Mode::empty()).map_err(sys("open new root"))?;
        fchdir(&root).map_err(sys("enter new root"))?;
        // The old root lands on top of the new one, and goes with all that is below it.
        pivot_root(".", ".").map_err(sys("pivot root"))?;
        unmount(".", UnmountFlags::DETACH).map_err(sys("unmount old root"))?;
        Ok(Self {
            root,
            _namespace: namespace,
        })
    }
}

impl AsFd for Tree {
    /// The root of the tree, opened as a path only.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

fn sys<E, S: Into<io::Error>>(operation: &'static str) -> impl FnOnce(S) -> TreeError<E> {
    move |source| TreeError::Sys {
        operation,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::mount::{MountFlags, mount};

    use super::*;

    /// Whether the host sees a mount at or below `at`. Other tests mount things too, elsewhere.
    fn is_mounted(at: &Path) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.contains(at.to_str().unwrap())
    }

    fn tmpfs(at: &Path) {
        mount("none", at, "tmpfs", MountFlags::empty(), c"").unwrap();
    }

    fn read(tree: &Tree, path: &str) -> String {
        let file = openat(tree, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let mut text = String::new();
        std::fs::File::from(file).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn kernel_a_tree_is_seen_through_its_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::build(|| {
            tmpfs(dir.path());
            let below = dir.path().join("below");
            std::fs::create_dir(&below).unwrap();
            tmpfs(&below);
            std::fs::write(below.join("file"), "inside").unwrap();
            Ok::<_, io::Error>(dir.path())
        })
        .unwrap();
        assert_eq!(read(&tree, "below/file"), "inside");
        assert!(!is_mounted(dir.path()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        // Neither `..` nor an absolute path, resolved with this root, leads to the host.
        let resolve = rustix::fs::ResolveFlags::IN_ROOT;
        for path in ["..", "../../..", "/"] {
            let found = rustix::fs::openat2(&tree, path, OFlags::PATH, Mode::empty(), resolve);
            let name = rustix::fs::statat(found.unwrap(), "below", rustix::fs::AtFlags::empty());
            assert!(name.is_ok(), "{path}");
        }
    }

    #[test]
    fn kernel_a_tree_keeps_no_mount_of_the_host() {
        let (host, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tmpfs(host.path());
        let tree = Tree::build(|| {
            tmpfs(own.path());
            Ok::<_, io::Error>(own.path())
        })
        .unwrap();
        // Busy if the copy of the host's mounts were still there.
        unmount(host.path(), UnmountFlags::NOFOLLOW).unwrap();
        drop(tree);
    }

    #[test]
    fn kernel_a_tree_that_cannot_be_built_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let failed = Tree::build(|| {
            tmpfs(dir.path());
            Err::<&Path, _>("no")
        });
        assert!(matches!(failed, Err(TreeError::Build("no"))));
        let panicked = Tree::build(|| -> Result<&Path, ()> { panic!("inside") });
        assert!(matches!(panicked, Err(TreeError::Panicked)));
        // Nothing is mounted there: it cannot become a root.
        let missing = Tree::build(|| Ok::<_, ()>(dir.path()));
        assert!(matches!(missing, Err(TreeError::Sys { .. })));
        assert!(!is_mounted(dir.path()));
    }
}
