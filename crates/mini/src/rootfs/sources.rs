//! What of the mounts only the runtime can make, before the container's first process exists: user namespaces for mapped
//! ids. They are descriptors, which the first process has as copies; each is let go once it is used.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};
use crate::process::id_map::user_namespace_for;
use crate::rootfs::options;
use crate::spec::{IdMapping, Mount, NamespaceKind, Spec};

/// Ids that a mount shows its files with.
#[derive(Clone, Debug)]
pub struct Ids {
    namespace: Rc<OwnedFd>,
    /// Whether of all that is mounted below too.
    recursive: bool,
}

/// For each mount of the spec, by its place, the ids that it maps.
#[derive(Debug, Default)]
pub struct Sources {
    ids: RefCell<Vec<Option<Ids>>>,
}

/// What a bind mount shows.
#[derive(Debug)]
pub struct Source {
    /// The ids that it maps.
    pub ids: Option<Ids>,
    /// A detached copy, when one has been made already.
    pub tree: Option<OwnedFd>,
    /// Its mount's place in the spec.
    pub place: usize,
}

impl Sources {
    /// Makes them.
    ///
    /// # Errors
    /// `Invalid` for a mapped mount without ids, `Sys`.
    pub fn prepare(spec: &Spec) -> Result<Self> {
        let mut namespaces = Namespaces::default();
        let mut ids = Vec::new();
        for mount in &spec.mounts {
            let own = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
            let asked = options::parse(&mount.options)?.id_mapped;
            if !own && asked.is_none() {
                ids.push(None);
                continue;
            }
            if !mount.is_bind() {
                return Err(Error::invalid(format!(
                    "mount {}: id-mapped mounts are only supported for bind-mounts",
                    mount.destination
                ))
                .with_hint("leave the mappings out, or make it a bind mount"));
            }
            ids.push(Some(Ids {
                namespace: namespaces.of(spec, mount)?,
                recursive: asked == Some(true),
            }));
        }
        Ok(Self {
            ids: RefCell::new(ids),
        })
    }

    /// Whether the mount of this place maps ids.
    pub fn are_mapped(&self, place: usize) -> bool {
        self.ids.borrow().get(place).is_some_and(Option::is_some)
    }

    /// The ids of the mount of this place; they are the caller's from now on.
    pub fn take(&self, place: usize) -> Option<Ids> {
        self.ids.borrow_mut().get_mut(place).and_then(Option::take)
    }
}

/// Shows a detached tree with other ids.
///
/// # Errors
/// `Sys`.
pub fn map(tree: &OwnedFd, ids: &Ids, source: &Path) -> Result<()> {
    sys::mount::map_ids(tree.as_fd(), ids.namespace.as_fd(), ids.recursive).map_err(|error| {
        Error::sys("map the ids of", source.display(), error).with_hint(
            "the source's file system must support mapped mounts, and the runtime must be root on the host",
        )
    })
}

/// User namespaces by their ranges: many mounts have the same.
#[derive(Default)]
struct Namespaces {
    made: Vec<(Vec<IdMapping>, Vec<IdMapping>, Rc<OwnedFd>)>,
    containers: Option<Rc<OwnedFd>>,
}

impl Namespaces {
    fn of(&mut self, spec: &Spec, mount: &Mount) -> Result<Rc<OwnedFd>> {
        let linux = spec.linux.as_ref();
        let missing = || {
            Error::invalid(format!(
                "mount {}: id-mapped mounts must have both uid and gid mappings specified",
                mount.destination
            ))
            .with_hint("give uidMappings and gidMappings, or the container a user namespace")
        };
        let own = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
        let (uids, gids) = if own {
            (&mount.uid_mappings, &mount.gid_mappings)
        } else {
            // The container's own: one that it joins, or ranges that it is going to have.
            let namespace = spec.namespace(NamespaceKind::User).ok_or_else(missing)?;
            if !namespace.path.is_empty() {
                return self.joined(&namespace.path);
            }
            let linux = linux.ok_or_else(missing)?;
            (&linux.uid_mappings, &linux.gid_mappings)
        };
        if uids.is_empty() || gids.is_empty() {
            return Err(missing());
        }
        let known = self
            .made
            .iter()
            .find(|(known_uids, known_gids, _)| known_uids == uids && known_gids == gids);
        if let Some((_, _, namespace)) = known {
            return Ok(Rc::clone(namespace));
        }
        let namespace = Rc::new(user_namespace_for(uids, gids)?);
        self.made
            .push((uids.clone(), gids.clone(), Rc::clone(&namespace)));
        Ok(namespace)
    }

    fn joined(&mut self, path: &str) -> Result<Rc<OwnedFd>> {
        if let Some(namespace) = &self.containers {
            return Ok(Rc::clone(namespace));
        }
        let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| Error::sys("open namespace", path, errno))?;
        let namespace = Rc::new(namespace);
        self.containers = Some(Rc::clone(&namespace));
        Ok(namespace)
    }
}
