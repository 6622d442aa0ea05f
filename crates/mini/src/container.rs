//! A container as a whole: bundle and spec, cgroup, first process.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroups::{Cgroup, Layout};
use shim_protocol::ConsoleSize;

use crate::error::{Error, Result};
use crate::hooks::{self, StateForHook};
use crate::limits;
use crate::network::devices;
use crate::process::finish::Stdio;
use crate::process::init::{InitPlan, Wishes};
use crate::process::spawn::{self, Spawned, rootfs_path};
use crate::resctrl;
use crate::rootfs::cgroup_mounts::CgroupView;
use crate::rootfs::pivot;
use crate::rootfs::sources::Sources;
use crate::rootless;
use crate::spec::{NamespaceKind, Spec};
use crate::systemd::{self, Unit};
use crate::trace::{Trace, objects};
use crate::validate::validate;

/// How long a cgroup may stay busy after its last process was killed.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A bundle that was read and found to be valid.
#[derive(Debug)]
pub struct Bundle {
    /// Its directory, absolute.
    pub directory: PathBuf,
    /// Its `config.json`.
    pub spec: Spec,
}

impl Bundle {
    /// Reads and checks a bundle.
    ///
    /// # Errors
    /// `Sys` when it cannot be read, `Invalid` and `Unsupported` for what is in it.
    pub fn read(directory: &Path) -> Result<Self> {
        let directory = std::fs::canonicalize(directory)
            .map_err(|error| Error::sys("open the bundle", directory.display(), error))?;
        let path = directory.join("config.json");
        let json =
            std::fs::read(&path).map_err(|error| {
                Error::sys("read", path.display(), error).with_hint(
                    "a bundle has config.json in its directory (`mini spec` writes one): is --bundle the right one?",
                )
            })?;
        let spec: Spec = serde_json::from_slice(&json).map_err(|error| {
            Error::invalid(format!("read {}: {error}", path.display())).with_hint(
                "config.json must be JSON with the fields and types of the OCI runtime-spec; `mini spec` writes an example",
            )
        })?;
        validate(&spec)?;
        Ok(Self { directory, spec })
    }

    /// The path of the container's cgroup, in every hierarchy.
    pub fn cgroup_path(&self, id: &str) -> String {
        match self
            .spec
            .linux
            .as_ref()
            .map(|linux| linux.cgroups_path.as_str())
        {
            // Directly below the root: a parent of ours would stay behind.
            None | Some("") => match crate::rootless::cgroup_parent() {
                Some(parent) => format!("{parent}{id}"),
                None => format!("/{id}"),
            },
            Some(path) if path.starts_with('/') => path.to_owned(),
            Some(path) => format!("/{path}"),
        }
    }
}

/// What a container's first process is to have.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "a function has nothing to show"
)]
pub struct Start<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its bundle.
    pub bundle: &'a Bundle,
    /// Its standard streams.
    pub stdio: Stdio<'a>,
    /// Size of its terminal; without one the spec's.
    pub console_size: Option<ConsoleSize>,
    /// The fifo at which it waits for `start`.
    pub gate: Option<BorrowedFd<'a>>,
    /// What is otherwise than usual.
    pub wishes: Wishes,
    /// The systemd scope that its cgroup is to be of.
    pub unit: Option<&'a Unit>,
    /// Whether it may go without a cgroup; when not said, see [`rootless::may_lack_cgroup`].
    pub rootless: Option<bool>,
    /// Called with the cgroup and the process's id while the process mounts: what must be known on disk before its program
    /// runs.
    pub known: &'a dyn Fn(&Cgroup, i32) -> Result<()>,
}

/// Makes the cgroup and the first process. On an error everything is as before.
///
/// # Errors
/// That of the step, with its name; the trace holds the steps until then.
pub fn start(start: Start<'_>, trace: &mut Trace) -> Result<(Cgroup, Spawned)> {
    let Start { id, bundle, .. } = start;
    let spec = &bundle.spec;
    let linux = spec
        .linux
        .as_ref()
        .ok_or_else(|| Error::invalid("linux is missing"))?;
    require_user_namespace(spec)?;
    let resources = linux.resources.clone().unwrap_or_default();
    let in_limits = |error: Error| error.in_step("limits");
    let mut wanted = limits::limits_of(spec).map_err(in_limits)?;
    if start.unit.is_some() {
        wanted = systemd::rounded(wanted);
    }
    let devices = limits::device_rules(&resources.devices).map_err(in_limits)?;
    let layout = trace.step(
        "cgroup_layout",
        || "which controller is in which hierarchy".into(),
        || Ok(Layout::detect()?),
    )?;
    // Before there is anything to take away again.
    let sources = Sources::prepare(spec).map_err(|error| error.in_step("mount"))?;
    let path = match start.unit {
        Some(unit) => unit.cgroup_path().to_owned(),
        None => bundle.cgroup_path(id),
    };
    let by_systemd = start.unit.is_some_and(|unit| !unit.takes_clones());
    let cgroup = trace.step(
        "cgroup_create",
        || path.clone(),
        || {
            if by_systemd {
                return Ok(Cgroup::planned(&layout, &path)?);
            }
            Cgroup::create_empty(&layout, &path).or_else(|refusal| {
                let named = !linux.cgroups_path.is_empty();
                rootless::without_cgroup(refusal, start.rootless, named, &wanted)
            })
        },
    )?;
    trace.made(|| objects::cgroup(&cgroup));
    let views = if cgroup.is_none() {
        own_views(&layout)
    } else {
        views(&layout, &cgroup)
    };
    let rootfs = rootfs_path(spec, &bundle.directory);
    let console_size = start.console_size.or_else(|| {
        let size = spec.process()?.console_size?;
        Some(ConsoleSize {
            height: size.height,
            width: size.width,
        })
    });
    let plan = InitPlan {
        id,
        spec,
        bundle: &bundle.directory,
        rootfs: &rootfs,
        cgroup: &cgroup,
        cgroups: &views,
        sources: &sources,
        stdio: start.stdio,
        console_size,
        gate: start.gate,
        // The one that `create` makes outlives it.
        die_with_parent: start.gate.is_none(),
        wishes: Wishes {
            moved_by_systemd: by_systemd,
            ..start.wishes
        },
    };
    let prepare = |pid: i32, trace: &mut Trace| {
        if !linux.net_devices.is_empty() {
            trace.step(
                "net_devices",
                || format!("{} of the host's", linux.net_devices.len()),
                || devices::move_all(spec, &linux.net_devices, pid),
            )?;
        }
        if cgroup.is_none() {
            return (start.known)(&cgroup, pid);
        }
        if let Some(unit) = start.unit {
            trace.step(
                "systemd_scope",
                || unit.remembered().scope,
                || unit.start(id, pid, &wanted, &devices),
            )?;
        }
        let own = if by_systemd {
            &cgroup.with_own_controllers()?
        } else {
            &cgroup
        };
        trace.step(
            "limits",
            || "written to the cgroup".into(),
            || Ok(own.apply(&wanted)?),
        )?;
        resctrl::enter(spec, id, pid).map_err(|error| error.in_step("limits"))?;
        trace.step(
            "device_rules",
            || format!("{} rules", resources.devices.len()),
            || Ok(own.set_devices(&devices)?),
        )?;
        trace.step(
            "state",
            || "what is remembered of the container".into(),
            || (start.known)(&cgroup, pid),
        )
    };
    let run_hooks = |pid: i32| match &spec.hooks {
        None => Ok(()),
        Some(hooks) => {
            let state = StateForHook::new(id, &bundle.directory, "creating", Some(pid), spec);
            hooks::run_all("prestart", &hooks.prestart, &state, &[])?;
            hooks::run_all("createRuntime", &hooks.create_runtime, &state, &[])
        }
    };
    let mut host_mount = None;
    let attached = if spec.namespace(NamespaceKind::Mount).is_none() {
        trace.step(
            "detach_mounts",
            || "a mount of the root file system among the host's".into(),
            || {
                pivot::attach_to_host(&rootfs)?;
                host_mount = pivot::mount_number(&rootfs);
                Ok(())
            },
        )
    } else {
        Ok(())
    };
    match attached.and_then(|()| spawn::spawn(plan, prepare, run_hooks, trace)) {
        Ok(spawned) => Ok((cgroup, spawned)),
        Err(error) => {
            if let Some(mount) = host_mount {
                drop(pivot::remove_from_host(&rootfs, mount));
            }
            // The first error is the one that matters.
            if let Some(unit) = start.unit {
                unit.stop();
            }
            drop(resctrl::remove(spec, id));
            drop(cgroup.remove(PATIENCE));
            Err(error)
        }
    }
}

/// An ordinary user has rights over namespaces only through a user namespace.
fn require_user_namespace(spec: &Spec) -> Result<()> {
    if rustix::process::geteuid().is_root() || spec.namespace(NamespaceKind::User).is_some() {
        return Ok(());
    }
    Err(
        Error::invalid("rootless container requires user namespaces").with_hint(
            "add a user namespace and maps of ids to config.json (`mini spec --rootless` writes one), or run as root",
        ),
    )
}

/// Without a cgroup of its own the container sees the one that we are in.
fn own_views(layout: &Layout) -> Vec<CgroupView> {
    let own = Cgroup::of_process(layout, std::process::id()).unwrap_or_else(|_| Cgroup::none());
    let mut views = views(layout, &Cgroup::none());
    for (view, hierarchy) in views.iter_mut().zip(layout.hierarchies()) {
        if let Some(directory) = own
            .directories()
            .iter()
            .find(|directory| directory.path.starts_with(&hierarchy.mount_point))
        {
            view.directory.clone_from(&directory.path);
        }
    }
    views
}

fn views(layout: &Layout, cgroup: &Cgroup) -> Vec<CgroupView> {
    let only_v2 = layout.mode() == cgroups::Mode::V2;
    layout
        .hierarchies()
        .iter()
        .map(|hierarchy| CgroupView {
            name: (!only_v2).then(|| {
                hierarchy.mount_point.file_name().map_or_else(
                    || "unified".into(),
                    |name| name.to_string_lossy().into_owned(),
                )
            }),
            is_v2: hierarchy.v2,
            directory: hierarchy.directory(cgroup.path()),
            mount_point: hierarchy.mount_point.clone(),
        })
        .collect()
}
