//! Mounts overlay file systems.
//!
//! The new mount API takes each lower directory by itself, so neither the number of layers nor the length of their paths
//! meets the one page that mount(2) has for options. Source: kernel overlayfs.rst; man 2 fsconfig.

use std::{
    fs::File,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
        fsconfig_set_fd, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
    },
};

use super::error::LayerError;

/// Most lower directories of one mount (`OVL_MAX_STACK` of the kernel).
pub(super) const MAX_LOWER: usize = 500;
/// The longest string that fsconfig(2) takes, in bytes.
const MAX_STRING: usize = 255;

/// What keeps an upper directory plain, so that it is a layer by itself when it is committed: whole files instead of
/// metadata that points below, and renamed directories copied instead of redirected. `index` would tie it to one set of
/// layers, and refuse a second look at it. Kernels may be built with any of them on.
const PLAIN: [(&str, &str); 3] = [
    ("redirect_dir", "off"),
    ("metacopy", "off"),
    ("index", "off"),
];

/// The directories of one overlay mount.
#[derive(Clone, Debug)]
pub(super) struct Overlay {
    /// The topmost first.
    pub(super) lower: Vec<PathBuf>,
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
}

impl Overlay {
    /// Makes the file system, not visible anywhere yet.
    pub(super) fn create(&self) -> Result<OwnedFd, LayerError> {
        if self.lower.len() > MAX_LOWER {
            return Err(LayerError::Invalid(format!(
                "image has {} layers; overlayfs takes {MAX_LOWER}",
                self.lower.len()
            )));
        }
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(LayerError::io("open file system", "overlay"))?;
        fsconfig_set_string(&context, "source", "overlay")
            .map_err(LayerError::io("configure", "overlay"))?;
        for (option, value) in PLAIN {
            match fsconfig_set_string(&context, option, value) {
                // A kernel that does not know the option does not do what it forbids.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(LayerError::io("configure", "overlay")(errno)),
            }
        }
        // Descriptors given by number must live until the file system is made.
        let mut held = Vec::new();
        for lower in &self.lower {
            set_directory(&context, "lowerdir+", lower, &mut held)?;
        }
        set_directory(&context, "upperdir", &self.upper, &mut held)?;
        set_directory(&context, "workdir", &self.work, &mut held)?;
        fsconfig_create(&context).map_err(|errno| self.explained(&context, errno))?;
        fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        )
        .map_err(LayerError::io("mount", "overlay"))
    }

    /// Makes the file system and shows it at `target`, an existing directory.
    pub(super) fn mount(&self, target: &Path) -> Result<(), LayerError> {
        let mount = self.create()?;
        move_mount(
            &mount,
            "",
            CWD,
            target,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(LayerError::path("mount overlay on", target))
    }

    /// The kernel's own words for why it did not take the options, when it has some.
    fn explained(&self, context: &OwnedFd, errno: Errno) -> LayerError {
        let mut message = [0; 1024];
        let words = match rustix::io::read(context, &mut message) {
            Ok(count) => String::from_utf8_lossy(&message[..count]).trim().to_owned(),
            Err(_) => String::new(),
        };
        LayerError::io(
            "mount overlay of",
            format!("{} {words}", self.upper.display()),
        )(errno)
    }
}

/// Sets a directory by its path, which `/proc/self/mountinfo` then shows; by descriptor when the path is too long.
fn set_directory(
    context: &OwnedFd,
    key: &str,
    path: &Path,
    held: &mut Vec<OwnedFd>,
) -> Result<(), LayerError> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() <= MAX_STRING {
        return fsconfig_set_string(context, key, bytes)
            .map_err(LayerError::path("configure overlay with", path));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory =
        rustix::fs::open(path, flags, Mode::empty()).map_err(LayerError::path("open", path))?;
    match fsconfig_set_fd(context, key, directory.as_fd()) {
        Ok(()) => {}
        // Kernels before 6.13 take strings only.
        Err(Errno::INVAL | Errno::BADF) => {
            let short = format!("/proc/self/fd/{}", directory.as_raw_fd());
            fsconfig_set_string(context, key, short)
                .map_err(LayerError::path("configure overlay with", path))?;
        }
        Err(errno) => return Err(LayerError::path("configure overlay with", path)(errno)),
    }
    held.push(directory);
    Ok(())
}

/// Unmounts `target`, busy or not; fine when nothing is mounted there.
pub(super) fn detach(target: &Path) -> Result<(), LayerError> {
    match unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(LayerError::path("unmount", target)(errno)),
    }
}

/// Tries an overlay mount in `dir`, which is left as it was.
pub(super) fn probe(dir: &Path) -> Result<(), LayerError> {
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    let tried = (|| {
        let part = |name: &str| {
            let path = probe.join(name);
            std::fs::create_dir_all(&path).map_err(LayerError::path("create", &path))?;
            Ok::<_, LayerError>(path)
        };
        let overlay = Overlay {
            lower: vec![part("lower")?],
            upper: part("upper")?,
            work: part("work")?,
        };
        let mount = overlay.create()?;
        // A file system that cannot be written to is of no use.
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&mount, "file", flags, Mode::from(0o600))
            .map(File::from)
            .map_err(LayerError::path("write to", &probe))?;
        Ok(())
    })();
    super::remove::remove_tree(&probe).map_err(LayerError::path("remove", &probe))?;
    tried
}
