//! `linux.mountLabel`: the SELinux label of files in the container's file systems.
//!
//! Source: runtime-spec config-linux.md, Mount Label; `man 8 mount`, context=.

use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, setxattr};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::rootfs::mounts::proc_path;

/// File systems whose root is not the container's to label, as runc has them.
const WITHOUT: [&str; 5] = ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"];

/// The options of a new file system, with the label that all its files get.
pub fn with_context(data: &[String], label: &str, kind: &str) -> Vec<String> {
    let mut data = data.to_vec();
    if !label.is_empty() && !WITHOUT.contains(&kind) {
        data.push(format!("context={label}"));
    }
    data
}

/// Labels a mounted file system's root.
///
/// # Errors
/// `Sys`.
pub fn set(mounted: impl AsFd, label: &str, destination: &str) -> Result<()> {
    if label.is_empty() {
        return Ok(());
    }
    let value = label.as_bytes();
    match setxattr(
        proc_path(mounted),
        "security.selinux",
        value,
        XattrFlags::empty(),
    ) {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(Error::sys("label", destination, errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_goes_to_file_systems_of_the_container() {
        let data = ["size=1m".to_owned()];
        assert_eq!(with_context(&data, "", "tmpfs"), data);
        assert_eq!(
            with_context(&data, "u:r:t:s0:c1,c2", "tmpfs"),
            ["size=1m", "context=u:r:t:s0:c1,c2"]
        );
        assert_eq!(with_context(&[], "u:r:t:s0", "proc"), [""; 0]);
    }
}
