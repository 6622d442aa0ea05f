//! Limits, in the terms of the runtime-spec, and their writing.
//!
//! [`Resources`] mirrors `linux.resources` (without devices, which are [`crate::devices`]). Each limit goes to the
//! hierarchy that its controller is in, as v1 or as v2 wants it; `v1` and `v2` hold the two sets of files.
//! Source: runtime-spec config-linux.md (Control groups).

mod convert;
mod journal;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::path::Path;

use rustix::io::Errno;

pub use convert::{block_io_weight_to_io, shares_to_weight};
pub use journal::previous;
pub(crate) use v2::swap_alone;

use journal::Journal;

use crate::cgroup::Directory;
use crate::layout::Controller;
use crate::{Cgroup, DeviceRule, Error};

/// What a cgroup may use. Absent means: leave as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory and swap.
    pub memory: Memory,
    /// CPU time and placement.
    pub cpu: Cpu,
    /// Most processes and threads together; less than 0 for no limit. 0 is taken as 1, since the process that is there already
    /// counts and systemd knows no 0.
    pub pids: Option<i64>,
    /// Block devices.
    pub block_io: BlockIo,
    /// Huge pages, each size by itself.
    pub hugepages: Vec<HugepageLimit>,
    /// Class of network packets and their priorities.
    pub network: Network,
    /// Handles and objects of RDMA devices, each by itself.
    pub rdma: Vec<RdmaLimit>,
    /// Files of v2 with the values to write, as they are.
    pub unified: BTreeMap<String, String>,
}

/// Memory limits in bytes; -1 for no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Most memory.
    pub limit_bytes: Option<i64>,
    /// Memory that is taken from it last, when the machine runs short.
    pub reservation_bytes: Option<i64>,
    /// Most memory **and** swap together.
    pub limit_with_swap_bytes: Option<i64>,
    /// Most memory of TCP buffers; v1 only.
    pub kernel_tcp_bytes: Option<i64>,
    /// How readily pages go to swap, 0 to 100; v1 only.
    pub swappiness: Option<u64>,
    /// Processes wait for memory instead of being killed; v1 only.
    pub disable_oom_killer: Option<bool>,
    /// Refuse a limit below what is in use, instead of taking memory back or killing.
    pub check_before_update: bool,
}

/// CPU limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// Share of CPU time when others want it too, as v1 counts: 2 to 262144, 1024 by default.
    pub shares: Option<u64>,
    /// Most CPU time in each period, in microseconds; 0 or less for no limit.
    pub quota_us: Option<i64>,
    /// Length of a period in microseconds; 100,000 by default.
    pub period_us: Option<u64>,
    /// Unused quota that may be saved up, in microseconds.
    pub burst_us: Option<u64>,
    /// Realtime scheduling: time in each realtime period, in microseconds; v1 only.
    pub realtime_runtime_us: Option<i64>,
    /// Length of the realtime period, in microseconds; v1 only.
    pub realtime_period_us: Option<u64>,
    /// CPUs it may run on: `0-2,5`.
    pub cpus: Option<String>,
    /// Memory nodes it may take memory from.
    pub mems: Option<String>,
    /// Runs only when nothing else wants to (1).
    pub idle: Option<i64>,
}

/// Limits of block devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockIo {
    /// Share of device time, 10 to 1000.
    pub weight: Option<u16>,
    /// The same for one device.
    pub weight_devices: Vec<DeviceRate>,
    /// Most bytes read in a second.
    pub read_bytes_per_second: Vec<DeviceRate>,
    /// Most bytes written in a second.
    pub write_bytes_per_second: Vec<DeviceRate>,
    /// Most reads in a second.
    pub read_operations_per_second: Vec<DeviceRate>,
    /// Most writes in a second.
    pub write_operations_per_second: Vec<DeviceRate>,
}

/// A number for one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRate {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// The rate or weight; 0 takes the limit away.
    pub rate: u64,
}

/// A limit of huge pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HugepageLimit {
    /// As the kernel writes it: `2MB`, `1GB`, `64KB`.
    pub page_size: String,
    /// In bytes.
    pub limit_bytes: u64,
}

/// A limit of one RDMA device; absent means no limit is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RdmaLimit {
    /// Name of the device: `mlx5_1`.
    pub device: String,
    /// Most open handles.
    pub handles: Option<u32>,
    /// Most objects.
    pub objects: Option<u32>,
}

impl RdmaLimit {
    /// The line of `rdma.max`, the same in both versions; `None` without any limit.
    fn line(&self) -> Option<String> {
        let words: Vec<_> = [("hca_handle", self.handles), ("hca_object", self.objects)]
            .into_iter()
            .filter_map(|(key, limit)| Some(format!("{key}={}", limit?)))
            .collect();
        (!words.is_empty()).then(|| format!("{} {}", self.device, words.join(" ")))
    }
}

/// Marks for network packets; v1 only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// `net_cls.classid`.
    pub class_id: Option<u32>,
    /// Interface name and priority, for `net_prio.ifpriomap`.
    pub priorities: Vec<(String, u32)>,
}

/// One value for one file of one controller.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    controller: Controller,
    file: String,
    value: String,
}

impl Setting {
    fn new(controller: Controller, file: impl Into<String>, value: impl ToString) -> Self {
        Self {
            controller,
            file: file.into(),
            value: value.to_string(),
        }
    }
}

impl Cgroup {
    /// Sets limits. On an error some may be set already; a new container is then removed anyway.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that contradict each other, [`Error::NotSupported`] for a limit that this kernel, or
    /// its cgroup version, does not have, [`Error::Sys`] when the kernel refuses a value.
    pub fn apply(&self, resources: &Resources) -> Result<(), Error> {
        self.write_limits(resources, &mut Journal::forgetful())
    }

    /// Sets other limits for a container that runs, and device rules if there are any: all of them, or on an error none.
    ///
    /// # Errors
    /// As [`Cgroup::apply`] and [`Cgroup::set_devices`], with all as it was before; [`Error::NotTakenBack`] when that could
    /// not be done.
    pub fn update(
        &self,
        resources: &Resources,
        devices: Option<&[DeviceRule]>,
    ) -> Result<(), Error> {
        self.update_and(resources, devices, || Ok(()))
    }

    /// As [`Cgroup::update`], and `also` belongs to it: limits are taken back when that is refused.
    ///
    /// # Errors
    /// As [`Cgroup::update`], and those of `also`.
    pub fn update_and(
        &self,
        resources: &Resources,
        devices: Option<&[DeviceRule]>,
        also: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        // Rules that are none are refused before there is anything to take back.
        devices.map_or(Ok(()), |rules| {
            crate::devices::DeviceList::from_rules(rules).map(drop)
        })?;
        let mut journal = Journal::remembering();
        let outcome = self
            .write_limits(resources, &mut journal)
            .and_then(|()| also())
            // Last, so that there is nothing to take back of it.
            .and_then(|()| devices.map_or(Ok(()), |rules| self.set_devices(rules)));
        let Err(error) = outcome else {
            return Ok(());
        };
        let left = journal.take_back();
        if left.is_empty() {
            return Err(error);
        }
        Err(Error::NotTakenBack {
            error: Box::new(error),
            left: left.iter().map(ToString::to_string).collect(),
        })
    }

    fn write_limits(&self, resources: &Resources, journal: &mut Journal) -> Result<(), Error> {
        check(resources)?;
        for controller in Controller::ALL {
            let wanted = is_wanted(resources, controller);
            if !wanted {
                continue;
            }
            let Some(directory) = self.directory_of(controller) else {
                return Err(self.missing(resources, controller));
            };
            if controller == Controller::Cpu {
                end_idle(directory, resources, journal)?;
            }
            if directory.v2 {
                v2::apply(directory, resources, controller, journal)?;
            } else {
                v1::apply(directory, resources, controller, journal)?;
            }
        }
        self.apply_unified(&resources.unified, journal)
    }

    fn missing(&self, resources: &Resources, controller: Controller) -> Error {
        // Any limit of it will do to say what was asked for.
        let (what, value) = v2::settings(resources, controller, v2::InForce::default())
            .ok()
            .filter(|settings| !settings.is_empty())
            .unwrap_or_else(|| v1::settings(resources, controller))
            .into_iter()
            .next()
            .map_or_else(
                || (controller.name().to_owned(), "a limit".to_owned()),
                |setting| (setting.file, setting.value),
            );
        let name = controller.name();
        let v1_only = matches!(controller, Controller::NetCls | Controller::NetPrio);
        let (reason, hint) = match self.v2_directory() {
            Some(_) if v1_only => (
                format!("cgroup controller `{name}` is a v1 one and not mounted"),
                format!(
                    "mount it (mount -t cgroup -o {name} cgroup DIRECTORY), or match the cgroup in nftables instead"
                ),
            ),
            Some(directory) => {
                let parent = directory.parent().unwrap_or(directory);
                (
                    format!(
                        "cgroup controller `{name}` is not delegated here: {} does not name it",
                        directory.join("cgroup.controllers").display()
                    ),
                    format!(
                        "enable it in cgroup.subtree_control of {} and of its parents, or leave the limit out",
                        parent.display()
                    ),
                )
            }
            None => (
                format!("cgroup controller `{name}` is not mounted"),
                match controller {
                    Controller::Memory => "boot the kernel with cgroup_enable=memory".to_owned(),
                    _ => format!("mount the v1 hierarchy of {name}, or leave the limit out"),
                },
            ),
        };
        Error::NotSupported {
            what,
            value,
            reason,
            hint,
        }
    }

    fn apply_unified(
        &self,
        unified: &BTreeMap<String, String>,
        journal: &mut Journal,
    ) -> Result<(), Error> {
        for (name, value) in unified {
            let refuse = |reason: String, hint: &str| Error::NotSupported {
                what: name.clone(),
                value: value.clone(),
                reason,
                hint: hint.to_owned(),
            };
            let (controller, parameter) = name.split_once('.').unwrap_or_default();
            if name.contains('/') || controller.is_empty() || parameter.is_empty() {
                return Err(Error::Invalid {
                    what: name.clone(),
                    value: value.clone(),
                    reason: "a unified setting must be in the form CONTROLLER.PARAMETER, the name of a cgroup v2 file"
                        .into(),
                });
            }
            // Processes are moved by us only, and whole cgroups are not killed by a limit.
            if matches!(
                name.as_str(),
                "cgroup.procs" | "cgroup.threads" | "cgroup.kill" | "cgroup.freeze" | "cgroup.type"
            ) {
                return Err(Error::Invalid {
                    what: name.clone(),
                    value: value.clone(),
                    reason: "is no limit".into(),
                });
            }
            let Some(directory) = self.v2_directory() else {
                return Err(refuse(
                    "invalid configuration: cgroup v2 is not mounted".into(),
                    "use the limit's own setting, which works on v1 too",
                ));
            };
            let path = directory.join(name);
            match journal.write(&path, value) {
                Ok(()) => {}
                Err(Errno::NOENT) => {
                    return Err(refuse(
                        format!(
                            "invalid configuration: cgroup controller `{controller}` has no {name} here ({} does not exist)",
                            path.display()
                        ),
                        &format!("enable the controller {controller} for this cgroup, on v2"),
                    ));
                }
                Err(errno) => return Err(write_error(&path, value, errno)),
            }
        }
        Ok(())
    }
}

fn is_wanted(resources: &Resources, controller: Controller) -> bool {
    let Resources {
        memory,
        cpu,
        block_io,
        network,
        ..
    } = resources;
    match controller {
        Controller::Memory => {
            memory.limit_bytes.is_some()
                || memory.reservation_bytes.is_some()
                || memory.limit_with_swap_bytes.is_some()
                || memory.kernel_tcp_bytes.is_some()
                || memory.swappiness.is_some()
                || memory.disable_oom_killer == Some(true)
        }
        Controller::Cpu => {
            cpu.shares.is_some_and(|shares| shares != 0)
                || cpu.quota_us.is_some()
                || cpu.period_us.is_some_and(|period| period != 0)
                || cpu.burst_us.is_some()
                || cpu.realtime_runtime_us.is_some()
                || cpu.realtime_period_us.is_some()
                || cpu.idle.is_some()
        }
        Controller::Cpuset => [&cpu.cpus, &cpu.mems]
            .iter()
            .any(|list| list.as_ref().is_some_and(|list| !list.is_empty())),
        Controller::Pids => resources.pids.is_some(),
        Controller::Io => *block_io != BlockIo::default(),
        Controller::Hugetlb => !resources.hugepages.is_empty(),
        Controller::NetCls => network.class_id.is_some(),
        Controller::NetPrio => !network.priorities.is_empty(),
        Controller::Rdma => resources
            .rdma
            .iter()
            .any(|limit| limit.handles.is_some() || limit.objects.is_some()),
        _ => false,
    }
}

/// What no kernel would take, said in the words of who asked.
fn check(resources: &Resources) -> Result<(), Error> {
    let invalid = |what: &str, value: String, reason: &str| {
        Err(Error::Invalid {
            what: what.to_owned(),
            value,
            reason: reason.to_owned(),
        })
    };
    let memory = &resources.memory;
    match (memory.limit_bytes, memory.limit_with_swap_bytes) {
        (Some(limit), Some(both)) if limit > 0 && both > 0 && both < limit => {
            return invalid(
                "memory and swap",
                both.to_string(),
                "must not be less than the memory limit",
            );
        }
        (Some(-1), Some(both)) if both > 0 => {
            return invalid(
                "memory and swap",
                both.to_string(),
                "needs a memory limit too",
            );
        }
        _ => {}
    }
    for (what, list) in [
        ("cpuset.cpus", &resources.cpu.cpus),
        ("cpuset.mems", &resources.cpu.mems),
    ] {
        if let Some(list) = list
            && crate::parse::number_list(list).is_none()
        {
            return invalid(what, format!("{list:?}"), "is not a list such as 0-2,5");
        }
    }
    if let Some(weight) = resources.block_io.weight
        && weight != 0
        && !(10..=1000).contains(&weight)
    {
        return invalid(
            "block I/O weight",
            weight.to_string(),
            "must be from 10 to 1000",
        );
    }
    Ok(())
}

/// Writes settings in their order. Some depend on each other (memory on memory and swap, a quota on its period), and which must go
/// first depends on what is in force and on the parent's: one that the kernel does not take now is tried again after the
/// others, as long as that gets anywhere.
fn set_all(
    directory: &Directory,
    settings: Vec<Setting>,
    journal: &mut Journal,
    missing_hint: fn(&str) -> &'static str,
) -> Result<(), Error> {
    let mut waiting = settings;
    loop {
        let count = waiting.len();
        let mut refused = Vec::new();
        let mut first_error = None;
        for setting in waiting {
            match set(directory, &setting, journal, missing_hint(&setting.file)) {
                Ok(()) => {}
                Err(error) if error.errno() == Some(Errno::INVAL) && depends(&setting.file) => {
                    first_error.get_or_insert(error);
                    refused.push(setting);
                }
                Err(error) => return Err(error),
            }
        }
        match first_error {
            None => return Ok(()),
            Some(error) if refused.len() == count => return Err(error),
            Some(_) => waiting = refused,
        }
    }
}

/// Who gives a running cgroup a share wants it to run: with idleness the kernel takes none.
fn end_idle(
    directory: &Directory,
    resources: &Resources,
    journal: &mut Journal,
) -> Result<(), Error> {
    let weighs = resources.cpu.shares.is_some_and(|shares| shares != 0)
        || resources.unified.contains_key("cpu.weight");
    if !journal.is_remembering() || !weighs || resources.cpu.idle.is_some() {
        return Ok(());
    }
    let idle = "cpu.idle";
    let is_idle = crate::file::read(&directory.path.join(idle)).is_ok_and(|now| now.trim() == "1");
    if is_idle {
        set(
            directory,
            &Setting::new(Controller::Cpu, idle, 0),
            journal,
            "",
        )?;
    }
    Ok(())
}

/// The number of `pids.max`, the same in both versions.
fn pids_max(most: i64) -> String {
    match most {
        ..0 => "max".to_owned(),
        0 => "1".to_owned(),
        most => most.to_string(),
    }
}

/// Files whose values the kernel checks against each other.
fn depends(file: &str) -> bool {
    file.starts_with("memory.") || file.starts_with("cpu.")
}

/// Writes a setting; a file that is not there is a limit that this kernel does not have.
fn set(
    directory: &Directory,
    setting: &Setting,
    journal: &mut Journal,
    missing_hint: &str,
) -> Result<(), Error> {
    let path = directory.path.join(&setting.file);
    match journal.write(&path, &setting.value) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT) => Err(Error::NotSupported {
            what: setting.file.clone(),
            value: setting.value.clone(),
            reason: format!(
                "this kernel has no such file for controller {}",
                setting.controller.name()
            ),
            hint: missing_hint.to_owned(),
        }),
        Err(errno) => Err(write_error(&path, &setting.value, errno)),
    }
}

fn write_error(path: &Path, value: &str, errno: Errno) -> Error {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let hint = match errno {
        Errno::BUSY if name.starts_with("memory.") => {
            "more than that is in use now: free memory first, or choose a higher limit"
        }
        Errno::INVAL if name.starts_with("memory.memsw") => {
            "memory and swap together must not be less than the memory limit"
        }
        Errno::INVAL if name == "memory.limit_in_bytes" => {
            "the memory limit must not be above memory and swap together: raise that too"
        }
        Errno::INVAL if name.starts_with("cpu.") => {
            "the kernel takes quotas from 1 ms up and periods from 1 ms to 1 s, and no more than the parent has"
        }
        Errno::NODEV if name.contains("blkio") || name.starts_with("io.") => {
            "no block device has this number: see lsblk; limits are set on whole disks, not partitions"
        }
        Errno::RANGE | Errno::INVAL | Errno::ACCESS | Errno::NOSPC
            if name.starts_with("cpuset.") =>
        {
            "only CPUs and memory nodes that exist, are online and are given to the parent can be chosen"
        }
        _ => "the kernel does not take this value",
    };
    Error::Sys {
        operation: "write",
        path: path.to_owned(),
        value: Some(value.to_owned()),
        errno,
        hint: Some(hint.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_refused_before_anything_is_written() {
        let mut resources = Resources::default();
        resources.memory.limit_bytes = Some(64 << 20);
        resources.memory.limit_with_swap_bytes = Some(32 << 20);
        assert!(check(&resources).is_err());
        resources.memory.limit_with_swap_bytes = Some(-1);
        assert!(check(&resources).is_ok());
        resources.cpu.cpus = Some("x".into());
        assert!(check(&resources).is_err());
    }
}
