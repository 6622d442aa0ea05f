//! Giving back what a run of a container had of the kernel. Everything here may be repeated, and what is not there is
//! fine.

use std::{
    io,
    path::{Path, PathBuf},
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::handle::Container;
use crate::{
    engine::Engine,
    error::{EngineError, Result},
};

/// Directory in the bundle for what is mounted only to be mounted on.
const SUBPATHS: &str = "subpaths";

/// Where a directory of a volume is mounted, from where it is mounted into the container.
pub(super) fn subpath_dir(bundle: &Path, number: usize) -> PathBuf {
    bundle.join(SUBPATHS).join(number.to_string())
}

/// Mounts memory that several containers may share.
///
/// # Errors
/// `Internal` when the kernel refuses.
pub(super) fn mount_shm(target: &Path, size_bytes: i64) -> Result<()> {
    let options = std::ffi::CString::new(format!("mode=1777,size={size_bytes}"))
        .map_err(EngineError::io("mount", target.display()))?;
    mount(
        "shm",
        target,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV,
        options.as_c_str(),
    )
    .map_err(EngineError::io("mount", target.display()))
}

/// Gives back the network, the mounts and the bundle of a run that has ended. What does not work is logged, and tried
/// again when the engine starts.
pub(super) fn everything(engine: &Engine, container: &Container) {
    let report = |what: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            tracing::warn!(container = container.id(), %error, "{what}");
        }
    };
    report(
        "release the network of a container",
        engine.networks.release(container.id()),
    );
    let bundle = container.bundle_dir();
    let rootfs = container.rootfs();
    report(
        "unmount the root file system of a container",
        engine
            .images
            .snapshots()
            .unmount(&rootfs)
            .map_err(EngineError::from),
    );
    report("unmount the volumes of a container", detach_below(&bundle));
    report(
        "unmount the volumes of a container",
        engine.volumes.unmount_all(container.id()),
    );
    report(
        "remove the bundle of a container",
        remove_bundle(&bundle).map_err(EngineError::io("remove", bundle.display())),
    );
}

fn detach_below(bundle: &Path) -> Result<()> {
    let mut targets = vec![bundle.join("shm")];
    if let Ok(entries) = std::fs::read_dir(bundle.join(SUBPATHS)) {
        targets.extend(entries.flatten().map(|entry| entry.path()));
    }
    for target in targets {
        match unmount(&target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Not mounted, or not there.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(EngineError::internal("unmount", target.display(), errno)),
        }
    }
    Ok(())
}

/// Removes a bundle whose mounts are gone. Directories are removed only when they are empty: should something still be
/// mounted there, its files are not ours to remove.
pub(super) fn remove_bundle(bundle: &Path) -> io::Result<()> {
    let ignore_missing = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let entries = match std::fs::read_dir(bundle) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            ignore_missing(std::fs::remove_file(entry.path()))?;
            continue;
        }
        if entry.file_name() == SUBPATHS {
            for subpath in std::fs::read_dir(entry.path())? {
                ignore_missing(std::fs::remove_dir(subpath?.path()))?;
            }
        }
        ignore_missing(std::fs::remove_dir(entry.path()))?;
    }
    ignore_missing(std::fs::remove_dir(bundle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_goes_but_nobodys_files_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("bundle");
        std::fs::create_dir_all(subpath_dir(&bundle, 0)).unwrap();
        std::fs::create_dir(bundle.join("rootfs")).unwrap();
        std::fs::write(bundle.join("config.json"), "{}").unwrap();
        std::fs::write(bundle.join("rootfs/precious"), "x").unwrap();
        remove_bundle(&bundle).unwrap_err();
        assert!(bundle.join("rootfs/precious").exists());
        std::fs::remove_file(bundle.join("rootfs/precious")).unwrap();
        remove_bundle(&bundle).unwrap();
        remove_bundle(&bundle).unwrap();
        assert!(!bundle.exists());
    }
}
