//! Which controller is in which hierarchy, and where that is mounted.
//!
//! Looked up from what is mounted, not guessed from paths: on a hybrid machine each controller is either in a v1 hierarchy
//! (alone or with others) or in v2. Source: kernel cgroup-v2.rst, cgroup-v1/cgroups.rst; man 7 cgroups.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::{Error, file, mountinfo, parse};

/// A cgroup controller, by what it controls (v1's `blkio` is v2's `io`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Controller {
    Cpu,
    Cpuacct,
    Cpuset,
    Memory,
    Io,
    Pids,
    Devices,
    Freezer,
    Hugetlb,
    NetCls,
    NetPrio,
    PerfEvent,
    Rdma,
    Misc,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Io,
        Self::Pids,
        Self::Devices,
        Self::Freezer,
        Self::Hugetlb,
        Self::NetCls,
        Self::NetPrio,
        Self::PerfEvent,
        Self::Rdma,
        Self::Misc,
    ];

    /// Its name in v2 (v1's where v2 has none).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Io => "io",
            Self::Pids => "pids",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Hugetlb => "hugetlb",
            Self::NetCls => "net_cls",
            Self::NetPrio => "net_prio",
            Self::PerfEvent => "perf_event",
            Self::Rdma => "rdma",
            Self::Misc => "misc",
        }
    }

    /// The controller of a name, of either version.
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "blkio" {
            return Some(Self::Io);
        }
        Self::ALL
            .into_iter()
            .find(|controller| controller.name() == name)
    }
}

/// How the machine is set up as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only v1 hierarchies.
    V1,
    /// Only v2.
    V2,
    /// Both are mounted.
    Hybrid,
}

impl Mode {
    /// `v1`, `v2` or `hybrid`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
            Self::Hybrid => "hybrid",
        }
    }
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The unified hierarchy.
    pub v2: bool,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Which of its directories is mounted there; `/` unless we are inside a container without a cgroup namespace.
    pub root: String,
    /// What it controls; may be empty for v2 and for a named hierarchy.
    pub controllers: Vec<Controller>,
    /// The name of a v1 hierarchy without controllers, such as `systemd`.
    pub name: Option<String>,
}

impl Hierarchy {
    /// The directory of a cgroup path.
    pub fn directory(&self, path: &str) -> PathBuf {
        self.mount_point.join(path.trim_start_matches('/'))
    }

    /// The directory of a path as `/proc/PID/cgroup` names it; `None` if it lies outside of what is mounted.
    pub fn directory_of_membership(&self, path: &str) -> Option<PathBuf> {
        if path.split('/').any(|part| part == "..") {
            return None;
        }
        let below = if self.root == "/" {
            path
        } else {
            let below = path.strip_prefix(self.root.as_str())?;
            if !below.is_empty() && !below.starts_with('/') {
                return None;
            }
            below
        };
        Some(self.directory(below))
    }

    /// Whether a line of `/proc/PID/cgroup` speaks of this hierarchy.
    pub fn is_of(&self, membership: &parse::Membership) -> bool {
        if self.v2 {
            return membership.hierarchy_id == 0;
        }
        if let Some(name) = &self.name {
            return membership
                .controllers
                .iter()
                .any(|word| word.strip_prefix("name=") == Some(name));
        }
        membership.hierarchy_id != 0
            && membership
                .controllers
                .iter()
                .filter_map(|word| Controller::from_name(word))
                .any(|controller| self.controllers.contains(&controller))
    }
}

/// All hierarchies of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Looks at what is mounted for this process.
    ///
    /// # Errors
    /// [`Error::NotMounted`] without any cgroup file system; [`Error::Sys`] if `/proc` cannot be read.
    ///
    /// Source: `/proc/self/cgroup`, `/proc/self/mountinfo`, `cgroup.controllers`.
    pub fn detect() -> Result<Self, Error> {
        let memberships = parse::memberships(&file::read_named(Path::new("/proc/self/cgroup"))?);
        let path = "/proc/self/mountinfo";
        let sys = |operation, error: &std::io::Error| {
            let errno = rustix::io::Errno::from_io_error(error).unwrap_or(rustix::io::Errno::IO);
            Error::sys(operation, path, errno)
        };
        let mut lines = BufReader::new(File::open(path).map_err(|error| sys("open", &error))?);
        let mut hierarchies: Vec<Hierarchy> = Vec::with_capacity(memberships.len());
        let mut line = Vec::new();
        // The kernel writes this file as it is read, a line for each mount of each container. Once all hierarchies
        // are found the rest is not asked for.
        while hierarchies.len() < memberships.len() {
            line.clear();
            let n = lines
                .read_until(b'\n', &mut line)
                .map_err(|error| sys("read", &error))?;
            if n == 0 {
                break;
            }
            if let Some(found) = hierarchy(&String::from_utf8_lossy(&line), &memberships)
                && !hierarchies.iter().any(|known| same(known, &found))
            {
                hierarchies.push(found);
            }
        }
        for hierarchy in &mut hierarchies {
            if hierarchy.v2 {
                let path = hierarchy.mount_point.join("cgroup.controllers");
                hierarchy.controllers = file::read_named(&path)?
                    .split_ascii_whitespace()
                    .filter_map(Controller::from_name)
                    .collect();
            }
        }
        Self::from_hierarchies(hierarchies)
    }

    /// A layout put together by hand.
    ///
    /// # Errors
    /// [`Error::NotMounted`] if it is empty.
    pub fn from_hierarchies(hierarchies: Vec<Hierarchy>) -> Result<Self, Error> {
        if hierarchies.is_empty() {
            return Err(Error::NotMounted {
                reason: "no cgroup file system in /proc/self/mountinfo".into(),
            });
        }
        Ok(Self { hierarchies })
    }

    /// v1, v2 or both.
    pub fn mode(&self) -> Mode {
        match (
            self.v2().is_some(),
            self.hierarchies.iter().any(|hierarchy| !hierarchy.v2),
        ) {
            (true, true) => Mode::Hybrid,
            (true, false) => Mode::V2,
            _ => Mode::V1,
        }
    }

    /// Every mounted hierarchy.
    pub fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// The unified hierarchy, if it is mounted.
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|hierarchy| hierarchy.v2)
    }

    /// Where a controller is.
    pub fn of(&self, controller: Controller) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|hierarchy| hierarchy.controllers.contains(&controller))
    }
}

fn same(a: &Hierarchy, b: &Hierarchy) -> bool {
    a.v2 == b.v2 && a.name == b.name && (a.v2 || a.controllers == b.controllers)
}

/// The hierarchy that a line of mountinfo mounts.
fn hierarchy(line: &str, memberships: &[parse::Membership]) -> Option<Hierarchy> {
    // Most lines are not about cgroups: looked at before they are taken apart.
    if !line.contains(" - cgroup") {
        return None;
    }
    let mount = mountinfo::parse_line(line)?;
    let v2 = match mount.file_system.as_str() {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let (mut controllers, mut name) = (Vec::new(), None);
    if !v2 {
        for option in mount.super_options.split(',') {
            if let Some(value) = option.strip_prefix("name=") {
                name = Some(value.to_owned());
            }
            controllers.extend(Controller::from_name(option));
        }
        // A name beside controllers says nothing more: the kernel lists the controllers.
        if !controllers.is_empty() {
            name = None;
        }
    }
    let found = Hierarchy {
        v2,
        mount_point: mount.mount_point.into(),
        root: mount.root,
        controllers,
        name,
    };
    // A mount of a hierarchy that this process is in no cgroup of is not usable.
    memberships
        .iter()
        .any(|membership| found.is_of(membership))
        .then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(mounts: &str, memberships: &str) -> Vec<Hierarchy> {
        let memberships = parse::memberships(memberships);
        mounts
            .lines()
            .filter_map(|line| hierarchy(line, &memberships))
            .collect()
    }

    #[test]
    fn each_controller_is_where_it_is_mounted() {
        let found = detect(
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
             42 31 0:39 / /proc rw - proc proc rw\n",
            "3:cpu,cpuacct:/\n2:blkio:/\n1:name=systemd:/\n0::/\n",
        );
        assert_eq!(found.len(), 4);
        let layout = Layout::from_hierarchies(found).unwrap();
        assert_eq!(layout.mode(), Mode::Hybrid);
        assert_eq!(
            layout.of(Controller::Cpuacct).unwrap().mount_point,
            Path::new("/sys/fs/cgroup/cpu,cpuacct")
        );
        assert!(layout.of(Controller::Io).is_some());
        assert!(layout.of(Controller::Memory).is_none());
    }

    #[test]
    fn a_path_outside_of_the_mounted_part_has_no_directory() {
        let hierarchy = Hierarchy {
            v2: true,
            mount_point: "/sys/fs/cgroup".into(),
            root: "/docker/a".into(),
            controllers: vec![],
            name: None,
        };
        assert_eq!(
            hierarchy.directory_of_membership("/docker/a/b"),
            Some("/sys/fs/cgroup/b".into())
        );
        assert_eq!(hierarchy.directory_of_membership("/docker/ab"), None);
        assert_eq!(hierarchy.directory_of_membership("/../x"), None);
    }

    #[test]
    fn kernel_this_machine_has_a_layout() {
        let layout = Layout::detect().unwrap();
        for hierarchy in layout.hierarchies() {
            assert!(hierarchy.mount_point.join("cgroup.procs").exists());
        }
        assert!(layout.of(Controller::Memory).is_some());
    }
}
