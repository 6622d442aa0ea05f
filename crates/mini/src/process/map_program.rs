//! newuidmap and newgidmap: who is not root may give a user namespace more ids than the own one only through them. They
//! are set-user-id programs of the package uidmap (shadow), which look up `/etc/subuid` and `/etc/subgid`.
//!
//! Found at the places where they are installed and nowhere else, run with an empty environment: never by PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, ErrorKind, Result};
use crate::process::id_map::IdKind;
use crate::spec::IdMapping;

/// Where distributions install them; the last is that of NixOS.
const DIRECTORIES: [&str; 5] = [
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/run/wrappers/bin",
];

/// Has the ids of a process's user namespace written by the program for them.
///
/// # Errors
/// `Unsupported` where it is not installed, `Sys` with its words when it refuses.
pub(crate) fn run(pid: i32, kind: IdKind, ranges: &[IdMapping]) -> Result<()> {
    let (name, file) = names(kind);
    let path = find(name)?;
    let numbers = ranges
        .iter()
        .flat_map(|range| [range.container_id, range.host_id, range.size])
        .map(|number| number.to_string());
    let output = Command::new(&path)
        .arg(pid.to_string())
        .args(numbers)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::sys("run", path.display(), error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    Err(Error::new(
        ErrorKind::Sys,
        format!("{}: {} ({said})", path.display(), output.status),
    )
    .with_hint(format!(
        "{file} must permit user {} the ids of {}: a line like \"{}:{}:{}\"",
        rustix::process::getuid().as_raw(),
        kind.list(),
        user_name(),
        ranges.first().map_or(100_000, |range| range.host_id),
        ranges.first().map_or(65_536, |range| range.size),
    )))
}

fn names(kind: IdKind) -> (&'static str, &'static str) {
    match kind {
        IdKind::User => ("newuidmap", "/etc/subuid"),
        IdKind::Group => ("newgidmap", "/etc/subgid"),
    }
}

fn find(name: &str) -> Result<PathBuf> {
    DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
        .ok_or_else(|| {
            Error::unsupported(format!(
                "give the user namespace its ids: {name} is not in {}",
                DIRECTORIES.join(", ")
            ))
            .with_hint(
                "install the package uidmap, or map only your own id (\"hostID\": yours, \"size\": 1)",
            )
        })
}

fn user_name() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid).then(|| name.to_owned())
        })
        .unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_installed_is_named_with_its_package() {
        let error = find("newnothingmap").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("newnothingmap is not in /usr/bin"),
            "{error}"
        );
        assert!(error.hint().contains("uidmap"));
    }
}
