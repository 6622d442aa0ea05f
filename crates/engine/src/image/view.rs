//! What clients see of an image: lists, inspect, history.

use std::collections::{BTreeSet, HashMap};

use bollard_stubs::models::{ImageHistoryResponseItem, ImageSummary};
use serde_json::{Value, json};

use super::{
    digest::Digest,
    manifest::MAX_CONFIG_BYTES,
    reference::Reference,
    store::{Image, ImageStore},
};
use crate::{
    error::{EngineError, Result},
    filters::Filters,
    layer::Driver,
    time,
};

/// The filters of `GET /images/json`.
pub(crate) const LIST_FILTERS: &[&str] =
    &["dangling", "label", "before", "since", "until", "reference"];

impl ImageStore {
    /// The images that pass `filters`, the newest first. Without `all`, not the nameless ones that others were made from.
    ///
    /// # Errors
    /// `NotFound` when `before` or `since` name no image; `Invalid` for a malformed value.
    pub(crate) fn filtered(
        &self,
        filters: &Filters,
        all: bool,
    ) -> Result<Vec<std::sync::Arc<Image>>> {
        // Steps on the way to another image are nobody's but that one's.
        let steps = if all { BTreeSet::new() } else { self.parents() };
        let dangling = filters.boolean("dangling")?;
        let created_of = |key: &str| -> Result<Option<i64>> {
            filters
                .get(key)
                .iter()
                .map(|name| {
                    self.resolve(name)
                        .map(|image| image.created_ns.unwrap_or_default())
                })
                .next()
                .transpose()
        };
        let before = match created_of("before")? {
            Some(before) => Some(before),
            None => filters
                .get("until")
                .first()
                .map(|text| until(text))
                .transpose()?,
        };
        let since = created_of("since")?;
        let mut images: Vec<_> = self
            .list()
            .into_iter()
            .filter(|image| {
                let created = image.created_ns.unwrap_or_default();
                let is_step = image.repo_tags.is_empty()
                    && image.repo_digests.is_empty()
                    && steps.contains(&image.id);
                !is_step
                    && dangling.is_none_or(|wanted| image.repo_tags.is_empty() == wanted)
                    && before.is_none_or(|before| created < before)
                    && since.is_none_or(|since| created > since)
                    && filters.matches_labels(&image.config.config.labels)
                    && matches_reference(image, filters.get("reference"))
            })
            .collect();
        images.sort_by_key(|image| std::cmp::Reverse((image.created_ns, image.tagged_ns)));
        Ok(images)
    }

    /// An image as `GET /images/json` has it. `containers` is how many use it.
    pub(crate) fn summary(
        &self,
        image: &Image,
        containers: Option<i64>,
        shared: bool,
    ) -> ImageSummary {
        ImageSummary {
            id: image.id.to_string(),
            parent_id: image
                .parent
                .as_ref()
                .map_or_else(String::new, Digest::to_string),
            repo_tags: image.repo_tags.clone(),
            repo_digests: image.repo_digests.clone(),
            created: image.created_ns.unwrap_or_default() / 1_000_000_000,
            size: signed(image.size_bytes),
            shared_size: if shared {
                signed(self.shared_size_bytes(image))
            } else {
                -1
            },
            labels: image.config.config.labels.clone(),
            containers: containers.unwrap_or(-1),
            manifests: None,
            descriptor: None,
        }
    }

    /// An image as `GET /images/{name}/json` has it. Blocks.
    pub(crate) fn inspect(&self, image: &Image) -> Result<Value> {
        // The raw object, so that fields of other builders are shown as well.
        let raw: Value = serde_json::from_slice(&self.blobs.read(&image.id, MAX_CONFIG_BYTES)?)
            .map_err(EngineError::io("read configuration of", &image.id))?;
        let config = &image.config;
        let lower: Vec<String> = image
            .layers
            .iter()
            .rev()
            .map(|layer| self.layers.diff_dir(layer).display().to_string())
            .collect();
        let driver = self.snapshots().driver();
        let data = match (driver, lower.split_first()) {
            (Driver::Overlay, Some((upper, []))) => json!({ "UpperDir": upper }),
            (Driver::Overlay, Some((upper, rest))) => {
                json!({ "UpperDir": upper, "LowerDir": rest.join(":") })
            }
            _ => Value::Null,
        };
        let mut value = json!({
            "Id": image.id,
            "RepoTags": image.repo_tags,
            "RepoDigests": image.repo_digests,
            "Parent": image.parent.as_ref().map_or_else(String::new, Digest::to_string),
            "Comment": config.comment,
            "Created": config.created.clone().unwrap_or_else(|| time::ZERO.to_owned()),
            "DockerVersion": raw.get("docker_version").cloned().unwrap_or_else(|| json!("")),
            "Author": config.author,
            "Config": raw.get("config").filter(|config| config.is_object()).cloned().unwrap_or_else(|| json!({})),
            "Architecture": config.architecture,
            "Os": config.os,
            "Size": image.size_bytes,
            "VirtualSize": image.size_bytes,
            "GraphDriver": { "Name": driver.name(), "Data": data },
            "RootFS": { "Type": "layers", "Layers": image.layers },
            "Metadata": { "LastTagTime": time::rfc3339(Some(image.tagged_ns)) },
        });
        if !config.variant.is_empty() {
            value["Variant"] = json!(config.variant);
        }
        let manifest = self.record(&image.id).and_then(|record| record.manifest);
        if let Some(manifest) = manifest {
            value["Descriptor"] = json!({
                "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size,
            });
        }
        Ok(value)
    }

    /// The steps of an image's build, the newest first.
    pub(crate) fn history(&self, image: &Image) -> Vec<ImageHistoryResponseItem> {
        let mut layers = image.layers.iter();
        let mut items: Vec<ImageHistoryResponseItem> = image
            .config
            .history
            .iter()
            .map(|step| {
                let layer = if step.empty_layer {
                    None
                } else {
                    layers.next()
                };
                let created = step
                    .created
                    .as_deref()
                    .and_then(|text| time::parse(text).ok());
                ImageHistoryResponseItem {
                    id: "<missing>".into(),
                    created: created.unwrap_or_default() / 1_000_000_000,
                    created_by: step.created_by.clone(),
                    tags: Vec::new(),
                    size: layer.map_or(0, |layer| self.layer_size(layer)),
                    comment: step.comment.clone(),
                }
            })
            .collect();
        // An image that does not tell its history still has layers.
        items.extend(layers.map(|layer| ImageHistoryResponseItem {
            id: "<missing>".into(),
            created: image.created_ns.unwrap_or_default() / 1_000_000_000,
            created_by: String::new(),
            tags: Vec::new(),
            size: self.layer_size(layer),
            comment: String::new(),
        }));
        items.reverse();
        if let Some(top) = items.first_mut() {
            top.id = image.id.to_string();
            top.tags.clone_from(&image.repo_tags);
        }
        items
    }

    fn layer_size(&self, diff_id: &Digest) -> i64 {
        signed(self.layers.size_bytes(diff_id).unwrap_or_default())
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A point in time, or a duration before now.
pub(super) fn until(text: &str) -> Result<i64> {
    match time::parse_go_duration_ns(text) {
        Some(duration) => Ok(time::now_ns() - duration),
        None => time::parse(text),
    }
}

/// Whether a name of the image matches one of the patterns: `name`, `name:tag`, with `*`, `?` and `[…]`.
fn matches_reference(image: &Image, patterns: &[String]) -> bool {
    patterns.is_empty()
        || image
            .repo_tags
            .iter()
            .chain(&image.repo_digests)
            .any(|name| {
                let Ok(reference) = name.parse::<Reference>() else {
                    return false;
                };
                patterns.iter().any(|pattern| {
                    glob(pattern, name)
                        || glob(pattern, &reference.familiar_name())
                        || glob(pattern, &reference.to_string())
                        || glob(pattern, &reference.name())
                })
            })
}

/// Shell patterns as Go's `path.Match` knows them: `*` and `?` do not match a slash.
fn glob(pattern: &str, text: &str) -> bool {
    let mut expression = String::from("^");
    let mut in_class = false;
    for character in pattern.chars() {
        match character {
            '*' if !in_class => expression.push_str("[^/]*"),
            '?' if !in_class => expression.push_str("[^/]"),
            '[' | ']' => {
                in_class = character == '[';
                expression.push(character);
            }
            _ if in_class => expression.push(character),
            _ => expression.push_str(&regex::escape(&character.to_string())),
        }
    }
    expression.push('$');
    regex::Regex::new(&expression).is_ok_and(|expression| expression.is_match(text))
}

/// How many containers use each image.
pub(crate) fn count_uses(uses: &[super::ImageUse]) -> HashMap<&str, i64> {
    let mut counts = HashMap::new();
    for used in uses {
        *counts.entry(used.image.as_str()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_do_not_cross_slashes() {
        assert!(glob("alp*", "alpine"));
        assert!(glob("alpine:3.?", "alpine:3.9"));
        assert!(glob("team/[ab]pp", "team/app"));
        assert!(!glob("te*", "team/app"));
        assert!(!glob("a.pine", "alpine"));
        assert!(!glob("[", "alpine"));
    }
}
