//! The files of a container as it sees them, for whoever copies some in or out.
//!
//! Of a running container that is the view of its first process, volumes and memory included. Of one that does not run,
//! its root file system and volumes are put together in a mount namespace of our own: nobody else sees it, and it is gone
//! as soon as it is let go, or the engine is killed. Everything is then reached by descriptors below one root.

use std::{
    collections::HashSet,
    fs::File,
    io::Read as _,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, StatxAttributes, StatxFlags, fstat, mkdirat, open,
        openat, statat, statx,
    },
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
        fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
    },
};
use sys::{
    mount::{MountAttributes, RDONLY, propagation, set_attributes},
    mountns::{Tree, TreeError},
};

use super::{
    Container,
    mounts::{MountRecord, MountSource},
};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
    layer::{Access, RootFd},
};

/// Most bytes of what is written to a view that is only for reading: directories to mount on.
const SCRATCH_BYTES: &str = "16m";

/// The files of a container.
#[derive(Debug)]
pub(crate) struct ContainerFiles {
    /// Its root.
    pub(super) root: RootFd,
    /// Devices of file systems that hold no files, but what the kernel says of itself.
    pub(super) kernel: HashSet<u64>,
    /// Those, and its `/dev`: not part of a tree that is copied from above them.
    pub(super) closed: HashSet<u64>,
    /// Keeps what was put together.
    _tree: Option<Tree>,
}

impl Engine {
    /// Opens the files of a container. To write to those of one that does not run, its life cycle must be held. Blocks.
    ///
    /// # Errors
    /// `Conflict` when it ends just now, `Internal` when its files cannot be put together.
    pub(crate) fn container_files(
        &self,
        container: &Container,
        access: Access,
    ) -> Result<ContainerFiles> {
        if let Some(running) = container.running() {
            match running_root(container, running.pid) {
                Ok(Some(root)) => return ContainerFiles::of_running(root),
                // It has just ended, or its process id is another's by now.
                Ok(None) | Err(Errno::NOENT | Errno::SRCH) if access == Access::Read => {}
                Ok(None) | Err(Errno::NOENT | Errno::SRCH) => {
                    return Err(EngineError::Conflict(format!(
                        "container {} is not running",
                        container.id()
                    )));
                }
                Err(errno) => {
                    return Err(EngineError::internal("open root of", container.id(), errno));
                }
            }
        }
        ContainerFiles::of_tree(
            container.id(),
            Tree::build(|| self.put_together(container, access)),
        )
    }

    /// Opens the root file system of a container without its volumes and the rest of what is mounted into it. Blocks.
    ///
    /// # Errors
    /// `Internal` when it cannot be mounted.
    pub(crate) fn container_rootfs(&self, container: &Container) -> Result<ContainerFiles> {
        if let Some(root) = mounted_rootfs(container)? {
            return Ok(ContainerFiles {
                root,
                kernel: HashSet::new(),
                closed: HashSet::new(),
                _tree: None,
            });
        }
        ContainerFiles::of_tree(
            container.id(),
            Tree::build(|| self.mount_rootfs(container.id(), Access::Read)),
        )
    }

    /// Opens the root file system of a snapshot that no container runs on. Blocks.
    ///
    /// # Errors
    /// `Internal` when it cannot be mounted.
    pub(crate) fn snapshot_files(&self, id: &str, access: Access) -> Result<ContainerFiles> {
        ContainerFiles::of_tree(id, Tree::build(|| self.mount_rootfs(id, access)))
    }

    /// Mounts root file system and volumes of a container in this thread's mount namespace, which is a private one.
    fn put_together(&self, container: &Container, access: Access) -> Result<PathBuf> {
        let record = container.record();
        // Opened before anything is mounted that could hide them.
        let mut sources = Vec::new();
        for mount in &record.mounts {
            match self.open_source(mount) {
                Ok(Some(source)) => sources.push((mount, source)),
                Ok(None) => {}
                Err(error) if access == Access::Read => {
                    tracing::debug!(%error, destination = mount.destination, "leave out a mount");
                }
                Err(error) => return Err(error),
            }
        }
        let target = self.mount_rootfs(container.id(), access)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(&target, flags, Mode::empty())
            .map(RootFd::new)
            .map_err(EngineError::io("open", target.display()))?;
        for (mount, source) in sources {
            mount_into(&root, mount, &source)?;
        }
        if record.host_config.readonly_rootfs == Some(true) {
            set_attributes(root.as_fd(), read_only(), false)
                .map_err(EngineError::io("make read-only", target.display()))?;
        }
        Ok(target)
    }

    /// Mounts the root file system of a snapshot in this thread's mount namespace, which is a private one.
    fn mount_rootfs(&self, id: &str, access: Access) -> Result<PathBuf> {
        let scratch = self.config.run_dir.join("view");
        std::fs::create_dir_all(&scratch).map_err(EngineError::io("create", scratch.display()))?;
        mount_scratch(&scratch).map_err(EngineError::io("mount on", scratch.display()))?;
        let rootfs = self.images.snapshots().view(id, access, &scratch)?;
        let target = scratch.join("root");
        mkdirat(CWD, &target, Mode::from(0o755))
            .and_then(|()| {
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                move_mount(&rootfs, "", CWD, &target, flags)
            })
            .map_err(EngineError::io("mount on", target.display()))?;
        Ok(target)
    }

    /// Opens what a mount shows, as a mount by itself; `None` for memory, which is empty at each start.
    fn open_source(&self, mount: &MountRecord) -> Result<Option<OwnedFd>> {
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let recursive = clone | OpenTreeFlags::AT_RECURSIVE;
        let (opened, shown) = match &mount.source {
            MountSource::Tmpfs { .. } => return Ok(None),
            MountSource::Bind {
                path,
                non_recursive,
                ..
            } => {
                let flags = if *non_recursive { clone } else { recursive };
                (open_tree(CWD, path.as_str(), flags), path)
            }
            MountSource::Volume { name, subpath, .. } => {
                let directory = self.volumes.open_privately(name, subpath)?;
                let flags = recursive | OpenTreeFlags::AT_EMPTY_PATH;
                (open_tree(&directory, "", flags), name)
            }
        };
        let source = match opened {
            Err(Errno::NOENT) => {
                return Err(EngineError::Invalid(format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {shown}"
                )));
            }
            other => other.map_err(EngineError::io("clone mount of", shown))?,
        };
        let change = MountAttributes {
            propagation: propagation::PRIVATE,
            ..if mount.read_only {
                read_only()
            } else {
                MountAttributes::default()
            }
        };
        set_attributes(source.as_fd(), change, true)
            .map_err(EngineError::io("change mount of", shown))?;
        Ok(Some(source))
    }
}

fn read_only() -> MountAttributes {
    MountAttributes {
        set: RDONLY,
        ..MountAttributes::default()
    }
}

impl ContainerFiles {
    /// Its root.
    pub(crate) fn root(&self) -> &RootFd {
        &self.root
    }

    fn of_tree(id: &str, tree: Result<Tree, TreeError<EngineError>>) -> Result<Self> {
        let tree = match tree {
            Err(TreeError::Build(error)) => return Err(error),
            other => other.map_err(EngineError::io("mount files of", id))?,
        };
        let root = tree
            .as_fd()
            .try_clone_to_owned()
            .map_err(EngineError::io("open root of", id))?;
        Ok(Self {
            root: RootFd::new(root),
            kernel: HashSet::new(),
            closed: HashSet::new(),
            _tree: Some(tree),
        })
    }

    fn of_running(root: OwnedFd) -> Result<Self> {
        let device = |path: &str| statat(&root, path, AtFlags::SYMLINK_NOFOLLOW).map(|s| s.st_dev);
        let own = device(".").map_err(EngineError::io("stat", "root of container"))?;
        let mounted = |path| device(path).ok().filter(|device| *device != own);
        let kernel: HashSet<u64> = ["proc", "sys"].into_iter().filter_map(mounted).collect();
        let closed = kernel.iter().copied().chain(mounted("dev")).collect();
        Ok(Self {
            root: RootFd::new(root),
            kernel,
            closed,
            _tree: None,
        })
    }
}

/// The root file system that is mounted while a container runs; `None` when it is not.
fn mounted_rootfs(container: &Container) -> Result<Option<RootFd>> {
    let path = container.rootfs();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match open(&path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        other => other.map_err(EngineError::io("open", path.display()))?,
    };
    let found = statx(&opened, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
        .map_err(EngineError::io("stat", path.display()))?;
    let mounted = found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(mounted.then(|| RootFd::new(opened)))
}

/// The root of a container's first process; `None` when that process is not the container's.
pub(super) fn running_root(container: &Container, pid: i32) -> Result<Option<OwnedFd>, Errno> {
    let path = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let process = open(format!("/proc/{pid}"), path, Mode::empty())?;
    let root = openat(&process, "root", path, Mode::empty())?;
    // Through the same descriptor, so of the same process: a number that was given away again does not pass.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut groups = String::new();
    File::from(openat(&process, "cgroup", flags, Mode::empty())?)
        .read_to_string(&mut groups)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(groups.contains(container.id()).then_some(root))
}

/// Mounts a small file system in memory.
fn mount_scratch(target: &std::path::Path) -> Result<(), Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("source", "view"), ("size", SCRATCH_BYTES), ("mode", "700")] {
        fsconfig_set_string(&context, key, value)?;
    }
    fsconfig_create(&context)?;
    let mount = fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&mount, "", CWD, target, flags)
}

/// Mounts `source` at its destination below `root`, which is made when it is not there, as a start would do.
fn mount_into(root: &RootFd, mount: &MountRecord, source: &OwnedFd) -> Result<()> {
    let failed = || EngineError::io::<Errno>("mount on", &mount.destination);
    let path = mount.destination.trim_start_matches('/').as_bytes();
    let kind = FileType::from_raw_mode(fstat(source).map_err(failed())?.st_mode);
    let target = match root.open_path(path, OFlags::empty()) {
        Err(Errno::NOENT) if kind == FileType::Directory => root.make_directories(path)?,
        Err(Errno::NOENT) => {
            let (parent, name) =
                path.split_at(path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1));
            let parent = root.make_directories(parent.strip_suffix(b"/").unwrap_or(parent))?;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&parent, name, flags, Mode::from(0o755)).map_err(failed())?
        }
        other => other.map_err(failed())?,
    };
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(source, "", &target, "", flags).map_err(failed())
}
