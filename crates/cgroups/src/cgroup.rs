//! One cgroup: the same path in every hierarchy.

mod create;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use create::{controllers_of, create_v1, create_v2};

use crate::layout::{Controller, Layout};
use crate::{Error, file, parse};

/// A cgroup's directory in one hierarchy.
#[derive(Clone, Debug)]
pub struct Directory {
    /// It is in the unified hierarchy.
    pub v2: bool,
    /// The controllers that act there.
    pub controllers: Vec<Controller>,
    /// Where it is.
    pub path: PathBuf,
}

/// A cgroup in all hierarchies of the machine. Holds paths only: dropping it leaves the cgroup as it is.
#[derive(Clone, Debug)]
pub struct Cgroup {
    path: String,
    directories: Vec<Directory>,
}

impl Cgroup {
    /// Makes the cgroup, and its parents, in every hierarchy; one that exists is taken as it is.
    ///
    /// On v2 every controller that the machine has there is enabled for it along the chain of parents. On v1 its cpuset gets
    /// the parent's CPUs and memory nodes, without which no process can enter.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path with `..`, `.` or empty parts; [`Error::Sys`] from the kernel. What was made is removed.
    pub fn create(layout: &Layout, path: &str) -> Result<Self, Error> {
        Self::make(layout, path, |_directory| Ok(()))
    }

    /// As [`Cgroup::create`] for a container that is to have it alone: what exists already must be empty, or its
    /// processes would get the container's limits and its end; and not frozen, or the container would never begin.
    ///
    /// # Errors
    /// [`Error::Occupied`] and [`Error::Frozen`] as well; what was there stays as it was.
    pub fn create_empty(layout: &Layout, path: &str) -> Result<Self, Error> {
        Self::make(layout, path, |directory| {
            let mut pids = Vec::new();
            collect_processes(&directory.path, &mut pids)?;
            if !pids.is_empty() {
                return Err(Error::Occupied {
                    path: directory.path.clone(),
                    processes: pids.len(),
                });
            }
            if crate::freeze::is_directory_frozen(directory)? {
                return Err(Error::Frozen {
                    path: directory.path.clone(),
                });
            }
            Ok(())
        })
    }

    /// `check` looks at what was there already.
    fn make(
        layout: &Layout,
        path: &str,
        check: impl Fn(&Directory) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let path = checked(path)?;
        let mut directories = Vec::with_capacity(layout.hierarchies().len());
        // In the order of making, parents first.
        let mut new = Vec::new();
        for hierarchy in layout.hierarchies() {
            let before = new.len();
            let outcome = if hierarchy.v2 {
                create_v2(hierarchy, path, &mut new)
            } else {
                create_v1(hierarchy, path, &mut new)
            };
            let outcome = outcome.and_then(|directory| {
                if new.len() == before {
                    check(&directory)?;
                }
                Ok(directory)
            });
            match outcome {
                Ok(directory) => directories.push(directory),
                Err(error) => {
                    // Nothing half-made stays; the first error is the one that matters.
                    for directory in new.iter().rev() {
                        rustix::fs::rmdir(directory).ok();
                    }
                    return Err(error);
                }
            }
        }
        Ok(Self {
            path: format!("/{path}"),
            directories,
        })
    }

    /// A cgroup that exists in at least one hierarchy.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Invalid`] for a bad path.
    pub fn open(layout: &Layout, path: &str) -> Result<Self, Error> {
        let path = checked(path)?;
        let directories: Vec<_> = layout
            .hierarchies()
            .iter()
            .map(|hierarchy| Directory {
                v2: hierarchy.v2,
                controllers: hierarchy.controllers.clone(),
                path: hierarchy.directory(path),
            })
            .filter(|directory| file::exists(&directory.path))
            .collect();
        let path = format!("/{path}");
        if directories.is_empty() {
            return Err(Error::NotFound { path });
        }
        Ok(Self { path, directories })
    }

    /// No cgroup: for a container of a user who was given none. It has no processes that are known here, cannot be frozen,
    /// and takes no limits.
    pub fn none() -> Self {
        Self {
            path: String::new(),
            directories: Vec::new(),
        }
    }

    /// A cgroup that someone else (a user's systemd) will make, on v2 alone: only there can a user have one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a bad path; [`Error::NotMounted`] without v2, or with v1 beside it.
    pub fn planned(layout: &Layout, path: &str) -> Result<Self, Error> {
        let path = checked(path)?;
        let [hierarchy] = layout.hierarchies() else {
            return Err(Error::NotMounted {
                reason: "an ordinary user's systemd has cgroups only where v2 alone is mounted"
                    .into(),
            });
        };
        Ok(Self {
            path: format!("/{path}"),
            directories: vec![Directory {
                v2: hierarchy.v2,
                controllers: hierarchy.controllers.clone(),
                path: hierarchy.directory(path),
            }],
        })
    }

    /// The same cgroup with those controllers of v2 that it really has: those of the machine need not be delegated to it.
    ///
    /// # Errors
    /// [`Error::Sys`].
    pub fn with_own_controllers(&self) -> Result<Self, Error> {
        let mut own = self.clone();
        for directory in &mut own.directories {
            if directory.v2 && !directory.controllers.is_empty() {
                directory.controllers = controllers_of(&directory.path)?;
            }
        }
        Ok(own)
    }

    /// Whether it is [`Cgroup::none`].
    pub fn is_none(&self) -> bool {
        self.directories.is_empty()
    }

    /// The cgroup that a process is in, whoever made it; in each hierarchy its own path.
    ///
    /// # Errors
    /// [`Error::Sys`] if the process is gone; [`Error::NotFound`] if its cgroups are not visible from here.
    pub fn of_process(layout: &Layout, pid: u32) -> Result<Self, Error> {
        let file = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let memberships = parse::memberships(&file::read_named(&file)?);
        let mut directories = Vec::with_capacity(layout.hierarchies().len());
        let mut roots = Vec::new();
        let mut shown: Option<&str> = None;
        for hierarchy in layout.hierarchies() {
            let Some(membership) = memberships.iter().find(|line| hierarchy.is_of(line)) else {
                continue;
            };
            let Some(path) = hierarchy.directory_of_membership(&membership.path) else {
                continue;
            };
            // The path it goes by: where its memory is counted, else any that is not a root.
            if (hierarchy.controllers.contains(&Controller::Memory) && membership.path != "/")
                || shown.is_none_or(|path| path == "/")
            {
                shown = Some(&membership.path);
            }
            let directory = Directory {
                v2: hierarchy.v2,
                controllers: hierarchy.controllers.clone(),
                path,
            };
            if membership.path == "/" {
                roots.push(directory);
            } else {
                directories.push(directory);
            }
        }
        // An engine may use some hierarchies only (Docker leaves out v2 on a hybrid machine). In the others the process
        // is in the root, whose processes and figures are the machine's, not the container's.
        if directories.is_empty() {
            directories = roots;
        }
        let path = shown.unwrap_or("/").to_owned();
        if directories.is_empty() {
            return Err(Error::NotFound { path });
        }
        Ok(Self { path, directories })
    }

    /// Its path from the root of the hierarchies, beginning with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its directory in each hierarchy.
    pub fn directories(&self) -> &[Directory] {
        &self.directories
    }

    /// The directory where a controller acts.
    pub fn directory_of(&self, controller: Controller) -> Option<&Directory> {
        self.directories
            .iter()
            .find(|directory| directory.controllers.contains(&controller))
    }

    /// Its directory in the unified hierarchy, if that is mounted.
    pub fn v2_directory(&self) -> Option<&Path> {
        self.directories
            .iter()
            .find(|directory| directory.v2)
            .map(|directory| directory.path.as_path())
    }

    /// True when clone into the cgroup is all that is needed: there is no v1 hierarchy to join.
    pub fn is_v2_only(&self) -> bool {
        self.directories.iter().all(|directory| directory.v2)
    }

    /// The same cgroup, but in the hierarchy of a controller (or without one, in every hierarchy) one that lies below it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a path that leads out of it, or a controller that is unknown or not mounted;
    /// [`Error::NotFound`].
    pub fn below(&self, controller: Option<&str>, path: &str) -> Result<Self, Error> {
        let path = path.trim_matches('/');
        let inner = if path.is_empty() { "" } else { checked(path)? };
        let wanted = controller
            .map(|name| {
                Controller::from_name(name)
                    .filter(|controller| self.directory_of(*controller).is_some())
                    .ok_or_else(|| Error::Invalid {
                        what: "cgroup".into(),
                        value: format!("{name}:{path}"),
                        reason: format!("unknown controller {name}"),
                    })
            })
            .transpose()?;
        let mut below = self.clone();
        for directory in &mut below.directories {
            if wanted.is_none_or(|controller| directory.controllers.contains(&controller)) {
                directory.path.push(inner);
                if !file::exists(&directory.path) {
                    return Err(Error::sys("open", &directory.path, Errno::NOENT));
                }
            }
        }
        if wanted.is_none() && !inner.is_empty() {
            below.path = format!("{}/{inner}", self.path);
        }
        Ok(below)
    }

    /// An open directory for `CLONE_INTO_CGROUP`. On a hybrid machine it serves too: the child is then in the v2
    /// part, and [`Cgroup::enter_cloned`] does the rest. `None` without v2.
    ///
    /// # Errors
    /// [`Error::Sys`] if it cannot be opened.
    pub fn clone_fd(&self) -> Result<Option<OwnedFd>, Error> {
        self.v2_directory()
            .map(|path| {
                rustix::fs::open(
                    path,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )
                .map_err(|errno| Error::sys("open", path, errno))
            })
            .transpose()
    }

    /// Moves a process, with all its threads, into the cgroup in every hierarchy.
    ///
    /// The first such write on the machine after a pause waits some milliseconds for the kernel (an RCU grace period); the
    /// following ones are cheap, and they are all made here. Let the process do something useful meanwhile.
    ///
    /// # Errors
    /// [`Error::Sys`]; `ESRCH` in it if the process is gone.
    pub fn add_process(&self, pid: u32) -> Result<(), Error> {
        let text = pid.to_string();
        self.directories
            .iter()
            .try_for_each(|directory| join(directory, "cgroup.procs", &text))
    }

    /// Moves the calling process, made with [`Cgroup::clone_fd`] and so in the v2 part already, into the v1 parts.
    ///
    /// Only for a process with one thread: it moves that thread. A thread that moves itself cannot be in the middle of
    /// an exec or an exit, so the kernel does without the lock that makes [`Cgroup::add_process`] wait for milliseconds.
    ///
    /// # Errors
    /// [`Error::Sys`].
    ///
    /// Source: kernel/cgroup/cgroup.c, `cgroup_procs_write_start`; cgroup-v1/cgroups.rst, `tasks`.
    pub fn enter_cloned(&self) -> Result<(), Error> {
        self.directories
            .iter()
            .filter(|directory| !directory.v2)
            .try_for_each(|directory| join(directory, "tasks", "0"))
    }

    /// The processes in it and in the cgroups below, as seen from our pid namespace (0 for one outside of it), each once.
    ///
    /// # Errors
    /// [`Error::Sys`].
    pub fn processes(&self) -> Result<Vec<u32>, Error> {
        // Any hierarchy will do, all hold the same processes. v2 first: no other program moves processes about there.
        let Some(directory) = self
            .directories
            .iter()
            .find(|directory| directory.v2)
            .or_else(|| self.directory_of(Controller::Memory))
            .or_else(|| self.directories.first())
        else {
            return Ok(Vec::new());
        };
        let mut pids = Vec::new();
        collect_processes(&directory.path, &mut pids)?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Names of the cgroups directly below, in any hierarchy.
    ///
    /// # Errors
    /// [`Error::Sys`].
    pub fn children(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for directory in &self.directories {
            names.extend(child_names(&directory.path)?);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Removes the cgroup and those below it, in all hierarchies. While the kernel says it is busy (a process that
    /// was killed is still on its way out) it is tried again until `patience` is over. What is gone already is fine.
    ///
    /// # Errors
    /// [`Error::Busy`] when the time is over, [`Error::Sys`]; the other hierarchies are cleaned up all the same.
    pub fn remove(&self, patience: Duration) -> Result<(), Error> {
        let started = Instant::now();
        let mut first_error = None;
        for directory in &self.directories {
            if let Err(error) = remove_directory(&directory.path, started, patience) {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

fn join(directory: &Directory, file: &str, who: &str) -> Result<(), Error> {
    file::write_named(&directory.path.join(file), who).map_err(|error| match error.errno() {
        Some(Errno::NOSPC) => {
            error.with_hint("cpuset.cpus or cpuset.mems of this cgroup or of a parent is empty")
        }
        Some(Errno::BUSY) => error.with_hint(
            "controllers are enabled for this cgroup's children, so it may hold no process itself",
        ),
        _ => error,
    })
}

/// A path without leading slash, safe to join.
fn checked(path: &str) -> Result<&str, Error> {
    let trimmed = path.trim_matches('/');
    let bad = trimmed
        .split('/')
        .any(|part| matches!(part, "" | "." | "..") || part.contains(['\0', '\n']));
    if bad {
        return Err(Error::Invalid {
            what: "cgroup path".into(),
            value: format!("{path:?}"),
            reason: "must name a cgroup below the root, without . or .. parts".into(),
        });
    }
    Ok(trimmed)
}

fn collect_processes(directory: &Path, pids: &mut Vec<u32>) -> Result<(), Error> {
    let path = directory.join("cgroup.procs");
    match file::read(&path) {
        Ok(content) => pids.extend(content.lines().filter_map(|line| line.parse::<u32>().ok())),
        // Removed while we look, or a v2 threaded cgroup, whose processes are listed further up.
        Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(Error::sys("read", path, errno)),
    }
    for name in child_names(directory)? {
        collect_processes(&directory.join(name), pids)?;
    }
    Ok(())
}

pub(crate) fn child_names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            return Err(Error::sys("list", directory, errno));
        }
    };
    Ok(entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}

/// Removes a directory and those below, trying again while it is busy.
fn remove_directory(directory: &Path, started: Instant, patience: Duration) -> Result<(), Error> {
    let mut pause = Duration::from_micros(200);
    loop {
        match rustix::fs::rmdir(directory) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => {
                // Either a process or a cgroup is in it; a container may have made some.
                for name in child_names(directory)? {
                    remove_directory(&directory.join(name), started, patience)?;
                }
                match rustix::fs::rmdir(directory) {
                    Ok(()) | Err(Errno::NOENT) => return Ok(()),
                    Err(_) if started.elapsed() >= patience => {
                        return Err(Error::Busy {
                            operation: "rmdir",
                            path: directory.to_owned(),
                            waited_ms: started.elapsed().as_millis(),
                        });
                    }
                    Err(_) => {
                        std::thread::sleep(pause);
                        pause = (pause * 2).min(Duration::from_millis(20));
                    }
                }
            }
            Err(errno) => return Err(Error::sys("rmdir", directory, errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb_or_name_the_root_are_refused() {
        for bad in ["", "/", "a/../b", "a//b", "./a", "a/..", "a\nb"] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
        assert_eq!(checked("/containeros/x/").unwrap(), "containeros/x");
    }
}
