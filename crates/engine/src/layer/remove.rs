//! Removes directory trees that a stranger has shaped.
//!
//! A container may nest directories without end; one descriptor a level would run out and leave the tree for ever. Below
//! a certain depth subtrees are first moved up to the top, so that the work needs few descriptors however deep it goes.

use std::{ffi::CStr, io, os::fd::AsFd, path::Path};

use rustix::{
    fs::{self, AtFlags, Dir, FileType},
    io::Errno,
};

use super::root::{RootFd, open_directory};

const MAX_DEPTH: usize = 32;

/// Removes the tree at `path`; fine when nothing is there.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    match RootFd::open(parent) {
        Ok(parent) => Ok(remove_tree_at(&parent, name.as_bytes())?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what is under `name` in `parent`, whatever it is, following no link.
pub(super) fn remove_tree_at(parent: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    match fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let top = open_directory(&parent, name)?;
    let mut hoisted = 0_u64;
    empty(&top, &top, 0, &mut hoisted)?;
    // What was moved up may itself have been deep.
    while hoisted > 0 {
        hoisted = 0;
        empty(&top, &top, 0, &mut hoisted)?;
    }
    fs::unlinkat(&parent, name, AtFlags::REMOVEDIR)
}

fn empty(
    top: impl AsFd + Copy,
    directory: impl AsFd,
    depth: usize,
    hoisted: &mut u64,
) -> Result<(), Errno> {
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match fs::unlinkat(&directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR) => {}
                Err(errno) => return Err(errno),
            }
        }
        match fs::unlinkat(&directory, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => continue,
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        if depth >= MAX_DEPTH {
            hoist(top, &directory, name, hoisted)?;
            continue;
        }
        let child = open_directory(&directory, name.to_bytes())?;
        empty(top, &child, depth + 1, hoisted)?;
        fs::unlinkat(&directory, name, AtFlags::REMOVEDIR)?;
    }
    Ok(())
}

fn hoist(
    top: impl AsFd,
    directory: impl AsFd,
    name: &CStr,
    hoisted: &mut u64,
) -> Result<(), Errno> {
    loop {
        *hoisted += 1;
        let free = format!(".hoisted-{hoisted}");
        let flags = fs::RenameFlags::NOREPLACE;
        match fs::renameat_with(&directory, name, &top, free.as_str(), flags) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        std::fs::create_dir(&top).unwrap();
        let mut current = rustix::fs::open(
            &top,
            rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        let name = [b'd'; 100];
        for _ in 0..3000 {
            fs::mkdirat(&current, &name[..], fs::Mode::from(0o755)).unwrap();
            fs::symlinkat("/etc/passwd", &current, "link").unwrap();
            current = open_directory(&current, &name).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists());
        assert!(Path::new("/etc/passwd").exists());
        remove_tree(&top).unwrap();
    }
}
