//! What security modules are told of a process: its AppArmor profile, its SELinux label.
//!
//! Source: runtime-spec config.md, apparmorProfile and selinuxLabel; `man 5 proc_pid_attr`.

use std::path::Path;

use rustix::fs::{Access, access, statfs};

use crate::error::{Error, Result};
use crate::process::procfs;
use crate::spec::Process;

const SELINUX_MAGIC: i64 = 0xf97c_ff8c;

/// Whether the kernel enforces or checks SELinux labels: its file system is there, with a policy's state in it.
pub fn has_selinux() -> bool {
    let path = "/sys/fs/selinux";
    statfs(path).is_ok_and(|stat| stat.f_type == SELINUX_MAGIC)
        && access(Path::new(path).join("enforce"), Access::EXISTS).is_ok()
}

/// Whether the kernel has AppArmor, and lets its profiles be seen.
pub fn has_apparmor() -> bool {
    access("/sys/kernel/security/apparmor", Access::EXISTS).is_ok()
        || std::fs::read("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|word| word.starts_with(b"Y"))
}

/// Refuses labels where they would mean nothing.
///
/// # Errors
/// `Unsupported`.
pub fn validate_labels(process_label: &str, mount_label: &str) -> Result<()> {
    if (process_label.is_empty() && mount_label.is_empty()) || has_selinux() {
        return Ok(());
    }
    let name = if process_label.is_empty() {
        "linux.mountLabel"
    } else {
        "process.selinuxLabel"
    };
    Err(Error::unsupported(format!(
        "{name}: selinux label is specified in config, but selinux is disabled or not supported"
    ))
    .with_hint("take the label out of the configuration, or start the machine with SELinux"))
}

/// Tells the modules what the program is to run under.
///
/// # Errors
/// `Unsupported` for a profile where there is no AppArmor; `Sys` for one that is not loaded.
pub(crate) fn apply(process: &Process) -> Result<()> {
    if !process.selinux_label.is_empty() {
        procfs::write_self("attr/exec", &process.selinux_label)?;
    }
    apply_apparmor(&process.apparmor_profile)
}

fn apply_apparmor(profile: &str) -> Result<()> {
    if profile.is_empty() {
        return Ok(());
    }
    if !has_apparmor() {
        // Nothing confines it, as asked for.
        if profile == "unconfined" {
            return Ok(());
        }
        return Err(Error::unsupported(format!(
            "process.apparmorProfile {profile:?}: apparmor: config provided but apparmor not supported"
        ))
        .with_hint("take the profile out of the configuration, or start the machine with AppArmor"));
    }
    let value = format!("exec {profile}");
    // Of its own since Linux 5.8, where several modules can be told.
    let told = procfs::write_self("attr/apparmor/exec", &value)
        .or_else(|_| procfs::write_self("attr/exec", &value));
    told.map_err(|error| {
        Error::new(error.kind(), format!("apparmor failed to apply profile: {error}"))
            .with_hint(format!(
                "the profile {profile:?} must be loaded: /sys/kernel/security/apparmor/profiles lists those that are"
            ))
    })
}
