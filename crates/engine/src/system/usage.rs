//! What the engine takes of the disk: `/system/df`.

use serde_json::{Map, Value, json};

use crate::{
    container,
    engine::Engine,
    error::{EngineError, Result},
    filters::Filters,
    image::count_uses,
};

/// What is looked at. All of it costs walking through the files of containers and volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UsageRequest {
    containers: bool,
    images: bool,
    volumes: bool,
    build_cache: bool,
}

impl UsageRequest {
    /// Reads the values of the parameter `type`; none is everything.
    ///
    /// # Errors
    /// `Invalid` for an unknown one.
    pub(crate) fn parse(types: &[String]) -> Result<Self> {
        let all = types.is_empty();
        let mut request = Self {
            containers: all,
            images: all,
            volumes: all,
            build_cache: all,
        };
        for kind in types {
            match kind.as_str() {
                "container" => request.containers = true,
                "image" => request.images = true,
                "volume" => request.volumes = true,
                "build-cache" => request.build_cache = true,
                other => {
                    return Err(EngineError::Invalid(format!(
                        "unknown object type: {other}"
                    )));
                }
            }
        }
        Ok(request)
    }
}

impl Engine {
    /// Returns what the engine's objects take of the disk, in Docker's JSON. Blocks.
    ///
    /// # Errors
    /// `Internal` when it cannot be written as JSON.
    pub(crate) fn disk_usage(&self, request: UsageRequest) -> Result<Value> {
        let mut usage = Map::new();
        let mut put = |key: &str, value: Value| usage.insert(key.to_owned(), value);
        let shown = || EngineError::io("show", "disk usage");
        if request.images {
            let uses = self.image_uses();
            let counts = count_uses(&uses);
            let images = self.images.filtered(&Filters::default(), false)?;
            let summaries: Vec<_> = images
                .iter()
                .map(|image| {
                    let containers = counts.get(image.id.as_str()).copied().unwrap_or(0);
                    self.images.summary(image, Some(containers), true)
                })
                .collect();
            put("LayersSize", json!(self.images.layers_size_bytes()));
            put("Images", serde_json::to_value(summaries).map_err(shown())?);
        }
        if request.containers {
            let mut containers = self.containers.all();
            containers.sort_by_key(|container| std::cmp::Reverse(container.record().created_ns));
            let summaries: Vec<_> = containers
                .iter()
                // One that is removed meanwhile takes nothing.
                .filter_map(|container| container::summary(self, container, true).ok())
                .collect();
            put(
                "Containers",
                serde_json::to_value(summaries).map_err(shown())?,
            );
        }
        if request.volumes {
            let volumes = self.volumes.disk_usage();
            put("Volumes", serde_json::to_value(volumes).map_err(shown())?);
        }
        if request.build_cache {
            put("BuildCache", json!([]));
        }
        Ok(Value::Object(usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_choose_and_unknown_ones_are_refused() {
        let parse = |types: &[&str]| {
            let types: Vec<String> = types.iter().map(|kind| (*kind).to_owned()).collect();
            UsageRequest::parse(&types)
        };
        let all = parse(&[]).unwrap();
        assert!(all.containers && all.images && all.volumes && all.build_cache);
        let some = parse(&["container", "volume"]).unwrap();
        assert!(some.containers && !some.images && some.volumes && !some.build_cache);
        let error = parse(&["network"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown object type: network");
    }
}
