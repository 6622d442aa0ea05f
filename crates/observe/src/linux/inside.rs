//! Puts the inside of a container together.

mod knobs;
mod mounts;
mod network;
mod processes;

use cgroups::{Cgroup, Layout};

use super::{now, proc};
use crate::inside::{
    CapabilitySets, CgroupPath, Fact, IdRange, Namespace, NamespaceKind, Seccomp, SeccompMode,
    capability_names,
};
use crate::{Inside, ObserveError};

/// Looks into the container whose first process (as the host sees it) is `pid`.
///
/// # Errors
/// [`ObserveError::Gone`] if the process has ended; [`ObserveError::Unreadable`] if nothing of it may be read.
/// Anything less is told in the fact that it concerns.
pub fn inside(pid: u32) -> Result<Inside, ObserveError> {
    let status = proc::read(pid, "status").map_err(|error| proc::observe_error(pid, &error))?;
    if status.lines().any(|line| line.starts_with("State:\tZ")) {
        return Err(ObserveError::Gone { pid });
    }
    let layout = Layout::detect().ok();
    let cgroup = layout
        .as_ref()
        .ok_or_else(|| "cgroups are not mounted".to_owned())
        .and_then(|layout| Cgroup::of_process(layout, pid).map_err(|error| error.to_string()));
    let mounts = mounts::mounts(pid);
    let known_mounts = mounts.value.as_deref().unwrap_or_default();
    let (masked_paths, read_only_paths) = mounts::hidden(known_mounts);
    let read_only_root = mounts::root(known_mounts).map(|mount| mount.read_only);
    Ok(Inside {
        time_ms: now().0,
        pid,
        namespaces: namespaces(pid),
        cgroup_mode: layout
            .as_ref()
            .map_or("none", |layout| layout.mode().name())
            .to_owned(),
        cgroups: cgroups_fact(pid, cgroup.as_ref()),
        knobs: cgroup.as_ref().map(knobs::knobs).unwrap_or_default(),
        capabilities: of_status(pid, "Cap", capabilities(&status)),
        seccomp: of_status(pid, "Seccomp", seccomp(&status)),
        no_new_privs: of_status(
            pid,
            "NoNewPrivs",
            proc::status_value(&status, "NoNewPrivs").map(|value| value == "1"),
        ),
        security_label: security_label(pid),
        oom_score_adj: number_fact(pid, "oom_score_adj"),
        uid_map: id_map(pid, "uid_map"),
        gid_map: id_map(pid, "gid_map"),
        masked_paths,
        read_only_paths,
        read_only_root,
        layers: mounts::layers(pid),
        mounts,
        processes: processes::processes(pid, cgroup.ok().as_ref()),
        interfaces: network::interfaces(pid),
        sockets: network::sockets(pid),
    })
}

/// Each kind that this kernel has, with whether it is the host's.
fn namespaces(pid: u32) -> Vec<Namespace> {
    let who = pid.to_string();
    NamespaceKind::ALL
        .into_iter()
        .filter_map(|kind| {
            let link = kind.link();
            let read = proc::namespace_inode(&who, link);
            // Process 1 is the host, unless we are in a container ourselves or may not look.
            let host_inode = proc::namespace_inode("1", link)
                .or_else(|_denied| proc::namespace_inode("self", link))
                .ok();
            if host_inode.is_none() && read.is_err() {
                // This kernel has no such kind.
                return None;
            }
            let shared_with_host = read.as_ref().ok().zip(host_inode).map(|(a, b)| *a == b);
            let file = format!("/proc/{pid}/ns/{link}");
            let command = format!("readlink {file} /proc/1/ns/{link}");
            Some(Namespace {
                kind,
                inode: Fact::with_command(file, command, read.map_err(|error| proc::words(&error))),
                host_inode,
                shared_with_host,
            })
        })
        .collect()
}

fn cgroups_fact(pid: u32, cgroup: Result<&Cgroup, &String>) -> Fact<Vec<CgroupPath>> {
    let read = cgroup.map_err(Clone::clone).map(|cgroup| {
        cgroup
            .directories()
            .iter()
            .map(|directory| CgroupPath {
                version: if directory.v2 { 2 } else { 1 },
                controllers: directory
                    .controllers
                    .iter()
                    .map(|controller| controller.name().to_owned())
                    .collect(),
                directory: directory.path.to_string_lossy().into_owned(),
            })
            .collect()
    });
    Fact::of_file(format!("/proc/{pid}/cgroup"), read)
}

/// A fact of lines in `/proc/PID/status`.
fn of_status<T>(pid: u32, lines: &str, value: Option<T>) -> Fact<T> {
    let file = format!("/proc/{pid}/status");
    let command = format!("grep {lines} {file}");
    Fact::with_command(
        file,
        command,
        value.ok_or_else(|| format!("this kernel does not say {lines}")),
    )
}

fn capabilities(status: &str) -> Option<CapabilitySets> {
    let set = |key| proc::status_mask(status, key).map(capability_names);
    Some(CapabilitySets {
        effective: set("CapEff")?,
        permitted: set("CapPrm")?,
        inheritable: set("CapInh")?,
        bounding: set("CapBnd")?,
        // Since Linux 4.3.
        ambient: set("CapAmb").unwrap_or_default(),
    })
}

fn seccomp(status: &str) -> Option<Seccomp> {
    let mode = match proc::status_value(status, "Seccomp")? {
        "0" => SeccompMode::Disabled,
        "1" => SeccompMode::Strict,
        "2" => SeccompMode::Filter,
        _ => return None,
    };
    let filters = proc::status_value(status, "Seccomp_filters").and_then(|n| n.parse().ok());
    Some(Seccomp { mode, filters })
}

fn security_label(pid: u32) -> Fact<String> {
    let read = proc::read(pid, "attr/current");
    let read = match read {
        Ok(label) => {
            let label = label.trim_matches(['\0', '\n', ' ']);
            Ok(if label.is_empty() {
                "unconfined"
            } else {
                label
            }
            .to_owned())
        }
        // EINVAL: no security module that labels processes is active.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            Ok("unconfined".to_owned())
        }
        Err(error) => Err(proc::words(&error)),
    };
    Fact::of_file(format!("/proc/{pid}/attr/current"), read)
}

fn number_fact(pid: u32, name: &str) -> Fact<i32> {
    let read = proc::read(pid, name)
        .map_err(|error| proc::words(&error))
        .and_then(|text| {
            text.trim()
                .parse()
                .map_err(|_not_a_number| format!("{text:?} is no number"))
        });
    Fact::of_file(format!("/proc/{pid}/{name}"), read)
}

fn id_map(pid: u32, name: &str) -> Fact<Vec<IdRange>> {
    let read = proc::read(pid, name)
        .map(|content| id_ranges(&content))
        .map_err(|error| proc::words(&error));
    Fact::of_file(format!("/proc/{pid}/{name}"), read)
}

/// Lines of three numbers. Source: man 7 user_namespaces.
fn id_ranges(content: &str) -> Vec<IdRange> {
    content
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse);
            Some(IdRange {
                inside: numbers.next()?.ok()?,
                outside: numbers.next()?.ok()?,
                count: numbers.next()?.ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_range_maps_to_itself_on_the_host() {
        assert_eq!(
            id_ranges("         0          0 4294967295\n"),
            [IdRange {
                inside: 0,
                outside: 0,
                count: u32::MAX
            }]
        );
    }

    #[test]
    fn our_own_process_can_be_looked_into() {
        let inside = inside(std::process::id()).unwrap();
        assert!(inside.namespaces.len() >= 7);
        assert!(inside.capabilities.value.is_some());
        assert!(inside.mounts.value.unwrap().len() > 1);
        let processes = inside.processes.value.unwrap();
        assert!(
            processes
                .iter()
                .any(|process| process.pid == std::process::id())
        );
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        assert_eq!(
            inside(u32::MAX - 1),
            Err(ObserveError::Gone { pid: u32::MAX - 1 })
        );
    }
}
