//! Making a cgroup's directories, so that a process can enter: controllers enabled for it on v2, a cpuset filled on v1.

use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::Directory;
use crate::layout::{Controller, Hierarchy};
use crate::{Error, file};

/// Each directory from the first below the mount to the path itself.
fn chain(hierarchy: &Hierarchy, path: &str) -> Vec<PathBuf> {
    let mut directory = hierarchy.mount_point.clone();
    path.split('/')
        .map(|part| {
            directory.push(part);
            directory.clone()
        })
        .collect()
}

fn make(directory: &Path) -> Result<bool, Errno> {
    match rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn make_hint(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::ROFS => Some(
            "the cgroup file system is mounted read-only; inside a container it must be mounted writable",
        ),
        Errno::ACCESS | Errno::PERM => {
            Some("needs root, or a cgroup that was delegated to this user")
        }
        Errno::AGAIN => Some("the parent's cgroup.max.depth or cgroup.max.descendants is reached"),
        Errno::NOSPC => {
            Some("the kernel has no more room for cgroups: remove old ones (see /proc/cgroups)")
        }
        _ => None,
    }
}

fn mkdir_error(path: &Path, errno: Errno) -> Error {
    let error = Error::sys("mkdir", path, errno);
    match make_hint(errno) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Makes a directory unless it is there, and notes it in `new` if it was made.
fn make_noted(directory: &Path, new: &mut Vec<PathBuf>) -> Result<(), Error> {
    match make(directory) {
        Ok(true) => {
            new.push(directory.to_owned());
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(errno) => Err(mkdir_error(directory, errno)),
    }
}

pub(super) fn create_v1(
    hierarchy: &Hierarchy,
    path: &str,
    new: &mut Vec<PathBuf>,
) -> Result<Directory, Error> {
    let target = hierarchy.directory(path);
    let cpuset = hierarchy.controllers.contains(&Controller::Cpuset);
    match make(&target) {
        Ok(made) => {
            if made {
                new.push(target.clone());
            }
            if cpuset {
                seed_cpuset(&target)?;
            }
        }
        Err(Errno::NOENT) => {
            for directory in chain(hierarchy, path) {
                make_noted(&directory, new)?;
                if cpuset {
                    seed_cpuset(&directory)?;
                    if directory != target {
                        // Children made from now on start with the parent's CPUs: nothing to copy on the way to a start.
                        file::write_named(&directory.join("cgroup.clone_children"), "1")?;
                    }
                }
            }
        }
        Err(errno) => return Err(mkdir_error(&target, errno)),
    }
    Ok(Directory {
        v2: false,
        controllers: hierarchy.controllers.clone(),
        path: target,
    })
}

/// Gives a v1 cpuset its parent's CPUs and memory nodes if it has none. A parent that someone else made and left empty gets
/// its own parent's first.
fn seed_cpuset(directory: &Path) -> Result<(), Error> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(name);
        if !file::read_named(&own)?.trim().is_empty() {
            continue;
        }
        let Some(parent) = directory.parent() else {
            continue;
        };
        let above = parent.join(name);
        let mut value = file::read_named(&above)?;
        // The root's is never empty, so this ends there.
        if value.trim().is_empty() {
            seed_cpuset(parent)?;
            value = file::read_named(&above)?;
        }
        file::write_named(&own, value.trim())?;
    }
    Ok(())
}

pub(super) fn create_v2(
    hierarchy: &Hierarchy,
    path: &str,
    new: &mut Vec<PathBuf>,
) -> Result<Directory, Error> {
    let target = hierarchy.directory(path);
    let ready = target
        .parent()
        .and_then(|parent| enabled_below(parent).ok())
        .is_some_and(|enabled| {
            hierarchy
                .controllers
                .iter()
                .all(|controller| enabled.contains(controller))
        });
    if ready {
        make_noted(&target, new)?;
    } else {
        let mut parent = hierarchy.mount_point.clone();
        for directory in chain(hierarchy, path) {
            enable_below(&parent, &hierarchy.controllers)?;
            make_noted(&directory, new)?;
            parent = directory;
        }
    }
    let controllers: Vec<_> = if hierarchy.controllers.is_empty() {
        Vec::new()
    } else {
        controllers_of(&target)?
    };
    // Where all controllers can be had there is no thread mode, so a usual start does not look.
    if controllers.len() < hierarchy.controllers.len() {
        check_type(&target)?;
    }
    Ok(Directory {
        v2: true,
        controllers,
        path: target,
    })
}

/// Refuses a cgroup that cannot hold whole processes.
fn check_type(directory: &Path) -> Result<(), Error> {
    let path = directory.join("cgroup.type");
    let kind = match file::read(&path) {
        Ok(kind) => kind,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(Error::sys("read", path, errno)),
    };
    match kind.trim() {
        kind @ ("threaded" | "domain invalid") => Err(Error::NotSupported {
            what: "cgroup".into(),
            value: directory.display().to_string(),
            reason: format!("its type is `{kind}`, which holds single threads and no processes"),
            hint: "a parent of it is in thread mode: use a cgroup that is not below it".into(),
        }),
        _ => Ok(()),
    }
}

/// The controllers that a v2 cgroup has.
pub(super) fn controllers_of(directory: &Path) -> Result<Vec<Controller>, Error> {
    Ok(file::read_named(&directory.join("cgroup.controllers"))?
        .split_ascii_whitespace()
        .filter_map(Controller::from_name)
        .collect())
}

/// The controllers that a v2 cgroup gives to its children.
fn enabled_below(directory: &Path) -> Result<Vec<Controller>, Errno> {
    Ok(file::read(&directory.join("cgroup.subtree_control"))?
        .split_ascii_whitespace()
        .filter_map(Controller::from_name)
        .collect())
}

/// Enables controllers for the children of a v2 cgroup. One that cannot be enabled is left out: whether it is missed
/// shows when a limit of it is asked for.
fn enable_below(directory: &Path, wanted: &[Controller]) -> Result<(), Error> {
    let file_path = directory.join("cgroup.subtree_control");
    let enabled =
        enabled_below(directory).map_err(|errno| Error::sys("read", &file_path, errno))?;
    let missing: Vec<_> = wanted
        .iter()
        .filter(|controller| !enabled.contains(controller))
        .map(|controller| format!("+{}", controller.name()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let refused = |value: String, errno: Errno| {
        let hint = match errno {
            Errno::OPNOTSUPP => Some(format!(
                "{} is in thread mode or has a cgroup below it that is (see cgroup.type), where only cpu, cpuset, \
                 perf_event and pids can be had: use a cgroup beside it",
                directory.display()
            )),
            Errno::BUSY => Some(format!(
                "{} holds processes itself; a v2 cgroup has either processes or children with controllers: \
                 move them to a cgroup below it, or give the engine another cgroup parent",
                directory.display()
            )),
            _ => make_hint(errno).map(str::to_owned),
        };
        Err(Error::Sys {
            operation: "write",
            path: file_path.clone(),
            value: Some(value),
            errno,
            hint,
        })
    };
    match file::write(&file_path, &missing.join(" ")) {
        Ok(()) => return Ok(()),
        // One of them cannot be had, and the kernel takes a line as a whole.
        Err(Errno::NOENT | Errno::INVAL) => {}
        // Not tried one by one: enabling the threaded controllers of a cgroup with processes would work, and make
        // a threaded domain of it, in which the others are impossible.
        Err(errno) => return refused(missing.join(" "), errno),
    }
    for word in missing {
        match file::write(&file_path, &word) {
            Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
            Err(errno) => return refused(word, errno),
        }
    }
    Ok(())
}
