//! Which file a program's name means, with the words for what is wrong that clients of Docker know.
//!
//! Source: Go's `os/exec.LookPath`, whose words runc passes on and dockerd and the docker CLI match on.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result, errno_words};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Finds the program as the user that the process has become, in the root and working directory it has.
///
/// # Errors
/// `ExecutableNotFound` or `PermissionDenied`.
pub fn find(name: &str, env: &[String]) -> Result<CString> {
    if name.contains('/') {
        check(Path::new(name)).map_err(|errno| refusal(name, errno))?;
        return to_c_string(name);
    }
    let path = env
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    path.split(':')
        .filter(|_| !name.is_empty())
        .map(|directory| {
            PathBuf::from(if directory.is_empty() { "." } else { directory }).join(name)
        })
        .find(|candidate| check(candidate).is_ok())
        .and_then(|found| found.to_str().map(to_c_string))
        .unwrap_or_else(|| {
            Err(Error::new(
                ErrorKind::ExecutableNotFound,
                format!("exec: {name:?}: executable file not found in $PATH"),
            )
            .with_hint(format!(
                "no directory of PATH={path} in the container has an executable {name:?}: install it in the image, \
                 or correct process.args"
            )))
        })
}

fn check(path: &Path) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

fn refusal(name: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::NOTDIR => Error::new(
            ErrorKind::ExecutableNotFound,
            format!("exec: {name:?}: stat {name}: {}", errno_words(errno)),
        )
        .with_hint("the image has no such file: correct process.args, or add the program to the image"),
        _ => Error::new(
            ErrorKind::PermissionDenied,
            format!("exec: {name:?}: {}", errno_words(errno)),
        )
        .with_hint(match errno {
            Errno::ISDIR => "process.args must begin with a program: this is the path of a folder",
            _ if on_noexec(name) => {
                "it lies on a mount with the option noexec: mount that with exec, or put the program elsewhere"
            }
            _ => "process.user may not execute it: chmod +x it in the image, and look at the directories above",
        }),
    }
}

/// Whether no program can be executed from the mount that a path leads to.
fn on_noexec(path: &str) -> bool {
    rustix::fs::statvfs(path)
        .is_ok_and(|found| found.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// What it means that the kernel did not execute a program that was found.
pub fn refused_by_kernel(path: &str, errno: Errno) -> Error {
    let message = format!("exec {path}: {}", errno_words(errno));
    match errno {
        Errno::NOENT => Error::new(ErrorKind::ExecutableNotFound, message).with_hint(
            "the file is there, but its interpreter (the first line of a script, or the dynamic loader) is not",
        ),
        Errno::NOEXEC => Error::new(ErrorKind::PermissionDenied, message)
            .with_hint(format!(
                "the file is not a program for this machine ({}): use an image of its architecture; or it is a script \
                 without its first line (#!/bin/sh)",
                std::env::consts::ARCH
            )),
        Errno::ACCESS | Errno::PERM => Error::new(ErrorKind::PermissionDenied, message).with_hint(
            "its interpreter or loader may not be executed, or a security module forbids it",
        ),
        Errno::TXTBSY => Error::new(ErrorKind::Sys, message)
            .with_hint("some process has the file open for writing: close it first"),
        Errno::TOOBIG => Error::new(ErrorKind::Sys, message)
            .with_hint("process.args and process.env together are more than the kernel takes"),
        _ => Error::new(ErrorKind::Sys, message),
    }
}

/// A string for the kernel.
///
/// # Errors
/// `Invalid` for one with a zero byte.
pub fn to_c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid(format!("{text:?} has a zero byte in it")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn path_env(directory: &Path) -> Vec<String> {
        vec![format!("PATH=/nonexistent:{}", directory.display())]
    }

    #[test]
    fn words_are_dockers() {
        let error = find("nope", &["PATH=/nonexistent".into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"exec: "nope": executable file not found in $PATH"#
        );
        assert_eq!(error.kind(), ErrorKind::ExecutableNotFound);
        let error = find("/nope", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"exec: "/nope": stat /nope: no such file or directory"#
        );
        let error = find("/tmp", &[]).unwrap_err();
        assert_eq!(error.to_string(), r#"exec: "/tmp": is a directory"#);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }

    #[test]
    fn path_is_searched_in_order_for_what_can_be_executed() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("tool");
        std::fs::write(&file, "").unwrap();
        assert!(find("tool", &path_env(temporary.path())).is_err());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            find("tool", &path_env(temporary.path()))
                .unwrap()
                .to_str()
                .unwrap(),
            file.to_str().unwrap()
        );
    }

    #[test]
    fn a_file_without_permission_is_told_from_a_missing_one() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("data");
        std::fs::write(&file, "").unwrap();
        let error = find(file.to_str().unwrap(), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().ends_with(": permission denied"));
    }
}
