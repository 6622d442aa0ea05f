//! What a step has made, as the kernel tells it afterwards. Looked at only while a trace is recorded; what cannot be looked at
//! is left out, since no start should fail for its record.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use cgroups::Cgroup;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use shim_protocol::TraceObject;
use sys::namespace::Namespaces;

use crate::rootfs::devices::default_paths;
use crate::rootfs::resolve::RootFd;
use crate::spec::{Device, Mount, NamespaceKind, Spec};

/// The namespaces of the spec that this process is in now. That of cgroups is made last: it is asked for alone.
pub fn namespaces(spec: &Spec, cgroup: bool) -> Vec<TraceObject> {
    spec.linux
        .iter()
        .flat_map(|linux| &linux.namespaces)
        .filter(|namespace| (namespace.kind == NamespaceKind::Cgroup) == cgroup)
        .filter_map(|namespace| namespace_of_self(namespace.kind, namespace.path.is_empty()))
        .collect()
}

/// A namespace of this process.
pub fn namespace_of_self(kind: NamespaceKind, made: bool) -> Option<TraceObject> {
    let name = file_name(kind);
    let stat = rustix::fs::stat(format!("/proc/self/ns/{name}")).ok()?;
    Some(TraceObject::Namespace {
        kind: name.to_owned(),
        inode: stat.st_ino,
        made,
    })
}

/// This process's own namespaces, looked at through the `/proc` that is seen when this is made.
#[derive(Debug)]
pub struct OwnNamespaces {
    directory: Option<OwnedFd>,
    kinds: Namespaces,
}

impl OwnNamespaces {
    /// Opens the directory, for the kinds that will be entered.
    pub fn open(kinds: Namespaces) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self {
            directory: rustix::fs::open("/proc/self/ns", flags, Mode::empty()).ok(),
            kinds,
        }
    }

    /// The namespaces that this process is in now, of those kinds.
    pub fn objects(&self) -> Vec<TraceObject> {
        const FLAGS: [(Namespaces, NamespaceKind); 8] = [
            (Namespaces::USER, NamespaceKind::User),
            (Namespaces::PID, NamespaceKind::Pid),
            (Namespaces::NET, NamespaceKind::Network),
            (Namespaces::MOUNT, NamespaceKind::Mount),
            (Namespaces::IPC, NamespaceKind::Ipc),
            (Namespaces::UTS, NamespaceKind::Uts),
            (Namespaces::CGROUP, NamespaceKind::Cgroup),
            (Namespaces::TIME, NamespaceKind::Time),
        ];
        FLAGS
            .into_iter()
            .filter(|(flag, _)| self.kinds.contains(*flag))
            .filter_map(|(_, kind)| {
                let name = file_name(kind);
                let directory = self.directory.as_ref()?;
                let stat = rustix::fs::statat(directory, name, AtFlags::empty()).ok()?;
                Some(TraceObject::Namespace {
                    kind: name.to_owned(),
                    inode: stat.st_ino,
                    made: false,
                })
            })
            .collect()
    }
}

/// The name below `/proc/PID/ns`.
fn file_name(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Pid => "pid",
        NamespaceKind::Network => "net",
        NamespaceKind::Mount => "mnt",
        NamespaceKind::Ipc => "ipc",
        NamespaceKind::Uts => "uts",
        NamespaceKind::User => "user",
        NamespaceKind::Cgroup => "cgroup",
        NamespaceKind::Time => "time",
    }
}

/// The cgroup in each hierarchy.
pub fn cgroup(cgroup: &Cgroup) -> Vec<TraceObject> {
    cgroup
        .directories()
        .iter()
        .map(|directory| TraceObject::Cgroup {
            path: directory.path.display().to_string(),
            controllers: directory
                .controllers
                .iter()
                .map(|controller| controller.name().to_owned())
                .collect(),
            v2: directory.v2,
        })
        .collect()
}

/// A mount of the spec, and those that come with it: a cgroup mount has one for each hierarchy. What a recursive bind brings
/// along is not listed one by one.
pub fn mount(root: &RootFd, mount: &Mount) -> Vec<TraceObject> {
    let mut found: Vec<_> = mount_at(root, &mount.destination).into_iter().collect();
    if mount.kind == "cgroup"
        && let Ok(directory) = root.look_up(
            Path::new(&mount.destination),
            OFlags::RDONLY | OFlags::DIRECTORY,
        )
        && let Ok(entries) = rustix::fs::Dir::read_from(&directory)
    {
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy();
            if !name.starts_with('.') && entry.file_type() == rustix::fs::FileType::Directory {
                let path = format!("{}/{name}", mount.destination.trim_end_matches('/'));
                found.extend(mount_at(root, &path));
            }
        }
    }
    found
}

/// The mounts at some paths.
pub fn mounts_at<'p>(
    root: &RootFd,
    paths: impl IntoIterator<Item = &'p String>,
) -> Vec<TraceObject> {
    paths
        .into_iter()
        .filter_map(|path| mount_at(root, path))
        .collect()
}

/// The mount at a path in the container; [`None`] when nothing is mounted right there.
pub fn mount_at(root: &RootFd, path: &str) -> Option<TraceObject> {
    let file = root.look_up(Path::new(path), OFlags::PATH).ok()?;
    mount_of(&file, path)
}

/// The mount whose root an open file is.
///
/// Source: `man 2 statx`, `STATX_MNT_ID`, `STATX_ATTR_MOUNT_ROOT`.
pub fn mount_of(file: impl AsFd, path: &str) -> Option<TraceObject> {
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    let stat = rustix::fs::statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    if stat.stx_attributes.bits() & STATX_ATTR_MOUNT_ROOT == 0 {
        return None;
    }
    let magic = rustix::fs::fstatfs(&file).ok()?.f_type;
    Some(TraceObject::Mount {
        destination: path.to_owned(),
        fs_type: fs_name(u64::try_from(magic).unwrap_or_default()),
        mount_id: stat.stx_mnt_id,
    })
}

/// Name of a file system's type by its magic number; the number itself for one that is not common below containers.
///
/// Source: `include/uapi/linux/magic.h`, `man 2 statfs`.
fn fs_name(magic: u64) -> String {
    let name = match magic & 0xffff_ffff {
        0x0102_1994 => "tmpfs",
        0x9fa0 => "proc",
        0x6265_6572 => "sysfs",
        0x1cd1 => "devpts",
        0x1980_0202 => "mqueue",
        0x0027_e0eb => "cgroup",
        0x6367_7270 => "cgroup2",
        0x794c_7630 => "overlay",
        0xef53 => "ext4",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x2fc1_2fc1 => "zfs",
        0x6e73_6673 => "nsfs",
        0x6969 => "nfs",
        0x6573_5546 => "fuse",
        0x7371_7368 => "squashfs",
        0xe0f5_e1e2 => "erofs",
        0xf2f5_2010 => "f2fs",
        0x4d44 => "vfat",
        0x0102_1997 => "9p",
        0x6462_6720 => "debugfs",
        0x7363_6673 => "securityfs",
        0xcafe_4a11 => "bpf",
        0x9584_58f6 => "hugetlbfs",
        0x8584_58f6 => "ramfs",
        other => return format!("0x{other:x}"),
    };
    name.to_owned()
}

/// The device nodes that every container has, and those of the spec, where they are.
pub fn devices(root: &RootFd, devices: &[Device]) -> Vec<TraceObject> {
    let own = devices.iter().map(|device| device.path.as_str());
    default_paths()
        .filter(|path| !devices.iter().any(|device| device.path == *path))
        .chain(own)
        .filter_map(|path| device_at(root, path))
        .collect()
}

/// The device node at a path in the container.
pub fn device_at(root: &RootFd, path: &str) -> Option<TraceObject> {
    let file = root
        .look_up(Path::new(path), OFlags::PATH | OFlags::NOFOLLOW)
        .ok()?;
    device_of(&file, path)
}

/// The device that an open file is.
pub fn device_of(file: impl AsFd, path: &str) -> Option<TraceObject> {
    let stat = rustix::fs::fstat(file).ok()?;
    (stat.st_rdev != 0).then(|| TraceObject::Device {
        path: path.to_owned(),
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_what_lies_in_it() {
        let root = RootFd::open(Path::new("/")).unwrap();
        let Some(TraceObject::Mount {
            fs_type, mount_id, ..
        }) = mount_at(&root, "/proc")
        else {
            panic!("/proc is no mount");
        };
        assert_eq!(fs_type, "proc");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(
            mounts
                .lines()
                .any(|line| line.starts_with(&format!("{mount_id} ")) && line.contains(" /proc "))
        );
        assert_eq!(mount_at(&root, "/proc/self"), None);
        assert_eq!(mount_at(&root, "/no/such/path"), None);
    }

    #[test]
    fn a_namespace_has_the_inode_that_its_link_shows() {
        let Some(TraceObject::Namespace { inode, .. }) =
            namespace_of_self(NamespaceKind::Network, false)
        else {
            panic!("no namespace");
        };
        assert_eq!(
            std::fs::read_link("/proc/self/ns/net").unwrap(),
            Path::new(&format!("net:[{inode}]"))
        );
    }

    #[test]
    fn a_device_has_its_number() {
        let root = RootFd::open(Path::new("/")).unwrap();
        assert_eq!(
            device_at(&root, "/dev/null"),
            Some(TraceObject::Device {
                path: "/dev/null".into(),
                major: 1,
                minor: 3
            })
        );
        assert_eq!(device_at(&root, "/dev"), None);
    }
}
