//! Removes images: one by name or id, or all that nobody uses.

use bollard_stubs::models::{ImageDeleteResponseItem, ImagePruneResponse};

use super::{
    digest::Digest,
    reference::Reference,
    store::{Image, ImageStore},
    view::until,
};
use crate::{
    error::{EngineError, Result},
    filters::Filters,
};

/// A container that uses an image.
#[derive(Clone, Debug)]
pub(crate) struct ImageUse {
    /// The container's id.
    pub(crate) container: String,
    /// The image's id.
    pub(crate) image: String,
    /// Whether it runs or is paused.
    pub(crate) running: bool,
}

/// How an image is to be removed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RemoveOptions {
    /// Also when stopped containers or several names stand against it.
    pub(crate) force: bool,
    /// Leave the nameless images it was made from.
    pub(crate) keep_parents: bool,
}

/// What was removed.
#[derive(Debug, Default)]
pub(crate) struct Removal {
    /// Names taken away and images deleted, in order.
    pub(crate) items: Vec<ImageDeleteResponseItem>,
}

/// What `POST /images/prune` asks for.
#[derive(Debug)]
pub(crate) struct PruneRequest {
    filters: Filters,
    dangling_only: bool,
    until_ns: Option<i64>,
}

impl PruneRequest {
    /// Reads the filters `dangling`, `until`, `label` and `label!`.
    ///
    /// # Errors
    /// `Invalid` for another filter or a malformed value.
    pub(crate) fn parse(filters: Option<&str>) -> Result<Self> {
        let filters = Filters::parse(filters, &["dangling", "until", "label", "label!"])?;
        Ok(Self {
            dangling_only: filters.boolean("dangling")?.unwrap_or(true),
            until_ns: filters
                .get("until")
                .first()
                .map(|text| until(text))
                .transpose()?,
            filters,
        })
    }
}

impl Removal {
    fn untagged(&mut self, reference: &Reference) {
        self.items.push(ImageDeleteResponseItem {
            untagged: Some(reference.familiar()),
            deleted: None,
        });
    }

    fn deleted(&mut self, id: &Digest) {
        self.items.push(ImageDeleteResponseItem {
            untagged: None,
            deleted: Some(id.to_string()),
        });
    }
}

impl ImageStore {
    /// Removes a name, and the image with its last one; by id, the image with all its names. Blocks.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when containers or other names stand against it, in Docker's words.
    pub(crate) fn remove(
        &self,
        text: &str,
        options: RemoveOptions,
        all_uses: &[ImageUse],
    ) -> Result<Removal> {
        let force = options.force;
        let image = self.resolve(text)?;
        let uses: Vec<&ImageUse> = all_uses
            .iter()
            .filter(|used| used.image == image.id.as_str())
            .collect();
        let mut removal = Removal::default();
        let names = self.references_of(&image.id);
        let by_name = text
            .parse::<Reference>()
            .ok()
            .map(Reference::with_default_tag)
            .map(|name| match name.digest() {
                Some(digest) => name.at_digest(digest.clone()),
                None => name,
            })
            .filter(|name| names.contains(name));
        if let Some(name) = by_name {
            self.remove_name(&image, &name, &names, force, &uses, &mut removal)?;
        } else {
            let repositories: std::collections::BTreeSet<String> =
                names.iter().map(Reference::name).collect();
            if repositories.len() > 1 && !force {
                return Err(EngineError::Conflict(format!(
                    "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
                    image.id.short()
                )));
            }
            refuse_used(&image, force, &uses)?;
            self.refuse_made_from(&image, &names)?;
            self.remove_all_names(&names, &mut removal)?;
            if !self.parents().contains(&image.id) {
                self.delete(&image, &mut removal)?;
            }
        }
        if !options.keep_parents && self.record(&image.id).is_none() {
            self.delete_steps(image.parent.clone(), all_uses, &mut removal)?;
        }
        self.collect();
        Ok(removal)
    }

    /// A step of another image stays: the other's history, and the next build, stand on it.
    fn refuse_made_from(&self, image: &Image, names: &[Reference]) -> Result<()> {
        if names.is_empty() && self.parents().contains(&image.id) {
            return Err(EngineError::Conflict(format!(
                "conflict: unable to delete {} (cannot be forced) - image has dependent child images",
                image.id.short()
            )));
        }
        Ok(())
    }

    /// Deletes the nameless images from `step` down that no image was made from any more and no container uses.
    fn delete_steps(
        &self,
        mut step: Option<Digest>,
        uses: &[ImageUse],
        removal: &mut Removal,
    ) -> Result<()> {
        while let Some(id) = step.take() {
            let Ok(image) = self.resolve(id.as_str()) else {
                return Ok(());
            };
            let used = uses.iter().any(|used| used.image == id.as_str());
            if used || !self.references_of(&id).is_empty() || self.parents().contains(&id) {
                return Ok(());
            }
            self.delete(&image, removal)?;
            step.clone_from(&image.parent);
        }
        Ok(())
    }

    fn remove_name(
        &self,
        image: &Image,
        name: &Reference,
        names: &[Reference],
        force: bool,
        uses: &[&ImageUse],
        removal: &mut Removal,
    ) -> Result<()> {
        // The digest of the same repository goes with its last tag.
        let stays = |other: &&Reference| {
            **other != *name
                && !(name.tag().is_some()
                    && other.digest().is_some()
                    && other.name() == name.name())
        };
        let other_tags = names
            .iter()
            .filter(|other| other.tag().is_some() && *other != name)
            .count();
        let last = names.iter().filter(stays).count() == 0;
        if !last && (name.digest().is_some() || other_tags > 0) {
            self.untag(name)?;
            removal.untagged(name);
            // A digest without a tag in its repository names nothing a person sees.
            let alone = !names
                .iter()
                .any(|other| other != name && other.tag().is_some() && other.name() == name.name());
            if name.tag().is_some() && alone {
                for digest in names
                    .iter()
                    .filter(|other| other.digest().is_some() && other.name() == name.name())
                {
                    self.untag(digest)?;
                    removal.untagged(digest);
                }
            }
            return Ok(());
        }
        if let Some(used) = uses.first()
            && !force
        {
            return Err(EngineError::Conflict(format!(
                "conflict: unable to remove repository reference {:?} (must force) - container {} is using its referenced image {}",
                name.familiar(),
                crate::id::short(&used.container),
                image.id.short()
            )));
        }
        self.remove_all_names(names, removal)?;
        // With force the name goes; what a container or another image stands on stays.
        if uses.is_empty() && !self.parents().contains(&image.id) {
            self.delete(image, removal)?;
        }
        Ok(())
    }

    fn remove_all_names(&self, names: &[Reference], removal: &mut Removal) -> Result<()> {
        for name in names {
            self.untag(name)?;
            removal.untagged(name);
        }
        Ok(())
    }

    fn delete(&self, image: &Image, removal: &mut Removal) -> Result<()> {
        self.forget(&image.id)?;
        removal.deleted(&image.id);
        // Layers that no other image has go as well; Docker names them by chain, a client only counts them.
        Ok(())
    }

    /// Removes the images that no container uses: those without a tag, or all. Blocks.
    pub(crate) fn prune(
        &self,
        request: &PruneRequest,
        uses: &[ImageUse],
    ) -> Result<ImagePruneResponse> {
        let mut removal = Removal::default();
        // The nameless ones that others were made from go with the last of those.
        for image in self.list() {
            let names = self.references_of(&image.id);
            if names.is_empty() && self.parents().contains(&image.id) {
                continue;
            }
            let used = uses.iter().any(|used| used.image == image.id.as_str());
            let spared = request.dangling_only && !image.repo_tags.is_empty();
            let too_young = request
                .until_ns
                .is_some_and(|until| image.created_ns.unwrap_or_default() > until);
            if used
                || spared
                || too_young
                || !request.filters.matches_labels(&image.config.config.labels)
            {
                continue;
            }
            self.remove_all_names(&names, &mut removal)?;
            if !self.parents().contains(&image.id) {
                self.delete(&image, &mut removal)?;
                self.delete_steps(image.parent.clone(), uses, &mut removal)?;
            }
        }
        let freed = self.collect();
        Ok(ImagePruneResponse {
            images_deleted: (!removal.items.is_empty()).then_some(removal.items),
            space_reclaimed: Some(i64::try_from(freed).unwrap_or(i64::MAX)),
        })
    }
}

/// Docker never takes an image from a running container, and from a stopped one only with force.
fn refuse_used(image: &Image, force: bool, uses: &[&ImageUse]) -> Result<()> {
    let refuse = |how: &str, what: &str, used: &ImageUse| {
        Err(EngineError::Conflict(format!(
            "conflict: unable to delete {} ({how}) - image is being used by {what} container {}",
            image.id.short(),
            crate::id::short(&used.container)
        )))
    };
    if let Some(used) = uses.iter().find(|used| used.running) {
        return refuse("cannot be forced", "running", used);
    }
    match uses.first() {
        Some(used) if !force => refuse("must be forced", "stopped", used),
        _ => Ok(()),
    }
}
