//! `linux.intelRdt`: the container's share of the processor's cache and of the memory's bandwidth, as a control group of
//! the kernel's resctrl file system.
//!
//! Source: runtime-spec config-linux.md, Intel RDT; kernel Documentation/filesystems/resctrl.rst.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::rootfs::mountinfo;
use crate::spec::{IntelRdt, Spec};

/// Checks names and lines.
///
/// # Errors
/// `Invalid`.
pub fn validate(rdt: &IntelRdt) -> Result<()> {
    if matches!(rdt.clos_id.as_str(), "." | "..") || rdt.clos_id.contains('/') {
        return Err(Error::invalid(format!(
            "linux.intelRdt: invalid intelRdt.closID {:?}",
            rdt.clos_id
        ))
        .with_hint("it names one directory: no /, not . nor .."));
    }
    for line in lines(rdt) {
        if line.contains('\n') || !line.contains(':') {
            return Err(Error::invalid(format!(
                "linux.intelRdt: {line:?} is not a line of a schemata file"
            )));
        }
    }
    Ok(())
}

fn lines(rdt: &IntelRdt) -> impl Iterator<Item = &str> {
    [&rdt.l3_cache_schema, &rdt.mem_bw_schema]
        .into_iter()
        .chain(&rdt.schemata)
        .map(String::as_str)
        .filter(|line| !line.is_empty())
}

/// Puts a container's first process into its group, made if need be. Nothing for a container that asks for none.
///
/// # Errors
/// `Unsupported` where no resctrl is mounted, `Invalid` for a group that is not there, `Sys`.
pub fn enter(spec: &Spec, id: &str, pid: i32) -> Result<()> {
    match rdt_of(spec) {
        Some(rdt) => enter_below(&mount_point()?, rdt, id, pid),
        None => Ok(()),
    }
}

/// Takes away what was made for a container. A group with a name of its own is shared, and stays.
///
/// # Errors
/// `Sys`.
pub fn remove(spec: &Spec, id: &str) -> Result<()> {
    let Some(rdt) = rdt_of(spec) else {
        return Ok(());
    };
    match mount_point() {
        Ok(root) => remove_below(&root, rdt, id),
        // Unmounted, and gone with that.
        Err(_) => Ok(()),
    }
}

fn rdt_of(spec: &Spec) -> Option<&IntelRdt> {
    spec.linux.as_ref()?.intel_rdt.as_ref()
}

fn mount_point() -> Result<PathBuf> {
    let path = "/proc/self/mountinfo";
    let table = std::fs::read(path).map_err(|error| Error::sys("read", path, error))?;
    mountinfo::parse(&table)
        .into_iter()
        .find(|mount| mount.kind == "resctrl")
        .map(|mount| mount.mount_point)
        .ok_or_else(|| {
            Error::unsupported(
                "linux.intelRdt: intelRdt is specified in config, but Intel RDT is not enabled",
            )
            .with_hint("no resctrl is mounted: mount -t resctrl resctrl /sys/fs/resctrl, where the processor has it")
        })
}

fn group(root: &Path, rdt: &IntelRdt, id: &str) -> PathBuf {
    root.join(if rdt.clos_id.is_empty() {
        id
    } else {
        &rdt.clos_id
    })
}

/// A group of the container's own, to read what it uses.
fn monitoring(group: &Path, rdt: &IntelRdt, id: &str) -> Option<PathBuf> {
    let asked = rdt.enable_monitoring || rdt.enable_cmt || rdt.enable_mbm;
    asked.then(|| group.join("mon_groups").join(id))
}

fn enter_below(root: &Path, rdt: &IntelRdt, id: &str, pid: i32) -> Result<()> {
    let group = group(root, rdt, id);
    let asks_nothing = lines(rdt).next().is_none();
    if !rdt.clos_id.is_empty() && asks_nothing && !group.is_dir() {
        return Err(Error::invalid(format!(
            "linux.intelRdt: clos dir not accessible (must be pre-created when schemata, l3CacheSchema and memBwSchema are empty): {}",
            group.display()
        )));
    }
    make(&group)?;
    let schemata: String = lines(rdt).flat_map(|line| [line, "\n"]).collect();
    if !schemata.is_empty() {
        write(&group.join("schemata"), &schemata)?;
    }
    write(&group.join("tasks"), &pid.to_string())?;
    if let Some(monitoring) = monitoring(&group, rdt, id) {
        make(&monitoring)?;
        write(&monitoring.join("tasks"), &pid.to_string())?;
    }
    Ok(())
}

fn remove_below(root: &Path, rdt: &IntelRdt, id: &str) -> Result<()> {
    let group = group(root, rdt, id);
    let own = if rdt.clos_id.is_empty() {
        Some(group)
    } else {
        monitoring(&group, rdt, id)
    };
    match own.map(|own| (std::fs::remove_dir(&own), own)) {
        Some((Err(error), own)) if error.kind() != Io::NotFound => {
            Err(Error::sys("remove", own.display(), error))
        }
        _ => Ok(()),
    }
}

fn make(directory: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != Io::AlreadyExists => {
            let full = error.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error());
            let error = Error::sys("make", directory.display(), error);
            Err(if full {
                error.with_hint("the processor has no class of service left: /sys/fs/resctrl/info/*/num_closids")
            } else {
                error
            })
        }
        _ => Ok(()),
    }
}

/// Writes a file of the kernel's, which are there with their directory.
fn write(path: &Path, text: &str) -> Result<()> {
    let error = |error| {
        Error::sys(
            "write",
            format!("{:?} to {}", text.trim_end(), path.display()),
            error,
        )
        .with_hint("info/last_cmd_status of the resctrl mount says why")
    };
    let mut file = OpenOptions::new().write(true).open(path).map_err(error)?;
    file.write_all(text.as_bytes()).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like a resctrl, whose kernel would make the files.
    fn resctrl(groups: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for group in groups {
            let group = root.path().join(group);
            std::fs::create_dir_all(&group).unwrap();
            for file in ["schemata", "tasks"] {
                std::fs::write(group.join(file), "").unwrap();
            }
        }
        root
    }

    fn rdt(json: serde_json::Value) -> IntelRdt {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_group_gets_its_lines_and_the_process() {
        let root = resctrl(&["shared", "shared/mon_groups/box"]);
        let rdt = rdt(
            serde_json::json!({"closID": "shared", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=70",
            "schemata": ["L2:0=3"], "enableMonitoring": true}),
        );
        validate(&rdt).unwrap();
        enter_below(root.path(), &rdt, "box", 42).unwrap();
        let read = |path: &str| std::fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(read("shared/schemata"), "L3:0=f\nMB:0=70\nL2:0=3\n");
        assert_eq!(read("shared/tasks"), "42");
        assert_eq!(read("shared/mon_groups/box/tasks"), "42");
    }

    #[test]
    fn a_group_of_the_containers_own_goes_with_it_and_a_named_one_stays() {
        let root = resctrl(&["box", "shared"]);
        for file in ["schemata", "tasks"] {
            std::fs::remove_file(root.path().join("box").join(file)).unwrap();
        }
        remove_below(root.path(), &rdt(serde_json::json!({})), "box").unwrap();
        assert!(!root.path().join("box").exists());
        remove_below(
            root.path(),
            &rdt(serde_json::json!({"closID": "shared"})),
            "box",
        )
        .unwrap();
        assert!(root.path().join("shared").exists());
        // A second time is no error.
        remove_below(root.path(), &rdt(serde_json::json!({})), "box").unwrap();
    }

    #[test]
    fn what_is_wrong_is_said() {
        let root = resctrl(&[]);
        let named = rdt(serde_json::json!({"closID": "missing"}));
        let error = enter_below(root.path(), &named, "box", 42).unwrap_err();
        assert!(error.to_string().contains("must be pre-created"), "{error}");
        for wrong in [
            serde_json::json!({"closID": ".."}),
            serde_json::json!({"closID": "a/b"}),
            serde_json::json!({"schemata": ["L3:0=f\nMB:0=1"]}),
            serde_json::json!({"l3CacheSchema": "nonsense"}),
        ] {
            assert!(validate(&rdt(wrong.clone())).is_err(), "{wrong}");
        }
    }
}
