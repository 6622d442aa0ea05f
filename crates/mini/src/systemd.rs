//! Containers whose cgroup is that of a systemd scope (`--systemd-cgroup`).
//!
//! The scope's directory is made by us, as any cgroup, and the first process is cloned into it; then systemd is asked to make a
//! scope of it. So the way of a start is the same with and without systemd, and no process is ever moved between cgroups
//! by the machine's systemd. An ordinary user may not clone across the tree: there systemd moves the process.

use std::cell::RefCell;
use std::io::Write as _;

use cgroups::systemd::wire::Value;
use cgroups::systemd::{Flavour, Manager, Owner, Property, Scope, annotation, properties};
use cgroups::{Cgroup, Controller, DeviceRule, Layout, Resources, parse};
use serde::{Deserialize, Serialize};

use crate::container::Bundle;
use crate::error::Result;

/// What is remembered of a container's scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The unit: `docker-1234.scope`.
    pub scope: String,
    /// The slice it is in.
    pub slice: String,
    /// It is one of the user's own systemd.
    #[serde(default)]
    pub user: bool,
}

/// The scope of a container that is to be made, and the systemd that will make it.
#[derive(Debug)]
pub struct Unit {
    scope: Scope,
    owner: Owner,
    cgroup_path: String,
    /// What the container's annotations ask for.
    asked: Vec<Property>,
    manager: RefCell<Manager>,
}

impl Unit {
    /// Finds systemd, and the scope's name in the bundle's `cgroupsPath`.
    ///
    /// # Errors
    /// `Invalid` for another form than `slice:prefix:name`; `Sys` when no systemd answers.
    pub fn find(bundle: &Bundle, id: &str) -> Result<Self> {
        let owner = if rustix::process::geteuid().is_root() && !crate::rootless::in_user_namespace()
        {
            Owner::System
        } else {
            Owner::User
        };
        let linux = bundle.spec.linux.as_ref();
        let path = linux.map_or("", |linux| linux.cgroups_path.as_str());
        let scope = Scope::from_cgroups_path(path, id, owner.default_slice())?;
        let annotations = bundle.spec.annotations.iter();
        let asked = annotations
            .filter_map(|(key, value)| annotation::property(key, value).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        let mut manager = Manager::connect(owner)?;
        let above = match owner {
            Owner::System => String::new(),
            Owner::User => manager.control_group()?,
        };
        let cgroup_path = format!("{}{}", above.trim_end_matches('/'), scope.cgroup_path()?);
        Ok(Self {
            scope,
            owner,
            cgroup_path,
            asked,
            manager: RefCell::new(manager),
        })
    }

    /// The path of its cgroup, in every hierarchy.
    pub fn cgroup_path(&self) -> &str {
        &self.cgroup_path
    }

    /// A process may be cloned into its cgroup.
    pub fn takes_clones(&self) -> bool {
        self.owner == Owner::System
    }

    /// What is to be remembered of it.
    pub fn remembered(&self) -> Remembered {
        Remembered {
            scope: self.scope.name.clone(),
            slice: self.scope.slice.clone(),
            user: self.owner == Owner::User,
        }
    }

    /// Makes the scope, with a process and limits.
    ///
    /// # Errors
    /// Those of systemd.
    pub fn start(
        &self,
        id: &str,
        pid: i32,
        limits: &Resources,
        devices: &[DeviceRule],
    ) -> Result<()> {
        let mut manager = self.manager.borrow_mut();
        let mut told = self.asked.clone();
        told.extend(oom_policy(&manager, limits));
        told.extend(properties_of(&manager, limits, Some(devices))?);
        let pid = u32::try_from(pid).unwrap_or_default();
        manager.start_scope(&self.scope, &format!("mini container {id}"), pid, &told)?;
        Ok(())
    }

    /// Takes it back.
    pub fn stop(&self) {
        // Of a start that went wrong, whose error is the one that matters.
        self.manager.borrow_mut().stop(&self.scope).ok();
    }
}

impl Remembered {
    fn scope(&self) -> Scope {
        Scope {
            slice: self.slice.clone(),
            name: self.scope.clone(),
        }
    }

    fn manager(&self) -> Result<Manager> {
        let owner = if self.user {
            Owner::User
        } else {
            Owner::System
        };
        Ok(Manager::connect(owner)?)
    }

    /// Moves this process into the scope. An ordinary user may clone a process into a cgroup only from beside it.
    ///
    /// # Errors
    /// Those of systemd.
    pub fn enter(&self) -> Result<()> {
        Ok(self.manager()?.attach(&self.scope(), std::process::id())?)
    }

    /// Ends the scope, whose processes have ended. Without systemd there is none any more.
    ///
    /// # Errors
    /// Those of systemd.
    pub fn stop(&self) -> Result<()> {
        match self.manager() {
            Ok(mut manager) => Ok(manager.stop(&self.scope())?),
            Err(_) => Ok(()),
        }
    }

    /// Changes limits in the files and in systemd's mind, both or none of them.
    ///
    /// # Errors
    /// Those of both.
    pub fn update(
        &self,
        cgroup: &Cgroup,
        limits: &Resources,
        devices: Option<&[DeviceRule]>,
    ) -> Result<Result<(), cgroups::Error>> {
        let mut manager = self.manager()?;
        let limits = &rounded(completed(limits, cgroup));
        let told = properties_of(&manager, limits, devices)?;
        Ok(cgroup.update_and(limits, devices, || {
            manager.set_properties(&self.scope(), &told)
        }))
    }
}

/// Limits with the CPU quota that systemd will write.
pub fn rounded(mut limits: Resources) -> Resources {
    let period = limits.cpu.period_us.unwrap_or_default();
    limits.cpu.quota_us = limits
        .cpu
        .quota_us
        .map(|quota| properties::rounded_quota(quota, period));
    limits
}

/// Limits of which systemd must be told both where one was given: the other is what is in force.
fn completed(limits: &Resources, cgroup: &Cgroup) -> Resources {
    let mut all = limits.clone();
    let (cpu, memory) = (&mut all.cpu, &mut all.memory);
    if cpu.quota_us.is_some() != cpu.period_us.is_some()
        && let Some((quota, period)) = quota_in_force(cgroup)
    {
        cpu.quota_us = cpu.quota_us.or(Some(quota));
        cpu.period_us = cpu.period_us.or(Some(period));
    }
    let number = |name: &str| {
        let directory = cgroup.directory_of(Controller::Memory)?;
        let content = std::fs::read_to_string(directory.path.join(name)).ok()?;
        i64::try_from(parse::limit(&content)?).ok()
    };
    // Only v2 has these files; v1's systemd knows no limit of swap.
    match (memory.limit_bytes, memory.limit_with_swap_bytes) {
        (None, Some(both)) if both > 0 => memory.limit_bytes = number("memory.max"),
        (Some(limit), None) if limit > 0 => {
            memory.limit_with_swap_bytes = number("memory.max")
                .zip(number("memory.swap.max").filter(|swap| *swap != 0))
                .map(|(memory, swap)| memory.saturating_add(swap));
        }
        _ => {}
    }
    all
}

/// The quota (-1 for none) and the period, in microseconds.
fn quota_in_force(cgroup: &Cgroup) -> Option<(i64, u64)> {
    let directory = cgroup.directory_of(Controller::Cpu)?;
    let read = |name: &str| std::fs::read_to_string(directory.path.join(name)).ok();
    let (quota, period) = if directory.v2 {
        let content = read("cpu.max")?;
        let (quota, period) = content.trim().split_once(' ')?;
        (quota.to_owned(), period.to_owned())
    } else {
        (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?)
    };
    let quota = quota.trim().parse().unwrap_or(-1);
    Some((quota, period.trim().parse().ok()?))
}

/// Whether lack of memory ends one process or all is decided at a unit's start; told since systemd 253.
fn oom_policy(manager: &Manager, limits: &Resources) -> Option<Property> {
    let policy = match limits.unified.get("memory.oom.group")?.trim() {
        "0" => "continue",
        "1" => "kill",
        _ => return None,
    };
    (manager.version() >= 253).then(|| ("OOMPolicy".to_owned(), Value::text(policy)))
}

/// What systemd is told of limits, and of devices where it would write them itself.
fn properties_of(
    manager: &Manager,
    limits: &Resources,
    devices: Option<&[DeviceRule]>,
) -> Result<Vec<Property>> {
    let layout = Layout::detect()?;
    let is_v2 = |controller| layout.of(controller).is_none_or(|hierarchy| hierarchy.v2);
    let flavour = Flavour {
        v2: is_v2(Controller::Memory),
        version: manager.version(),
    };
    let (mut all, warnings) = properties::properties(limits, flavour)?;
    for warning in warnings {
        // As runc's callers find it among its output.
        drop(writeln!(
            std::io::stderr().lock(),
            "level=warning msg={warning:?}"
        ));
    }
    if let Some(rules) = devices.filter(|_| !is_v2(Controller::Devices)) {
        let known = std::fs::read_to_string("/proc/devices").unwrap_or_default();
        all.extend(properties::devices(rules, &known)?);
    }
    Ok(all)
}
