//! The docker CLI's contexts: `config.json` names the one in use, `contexts/meta/<sha256 of the name>/meta.json` says where
//! it is. Source: docker/cli `cli/context/store`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// A context that names an engine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) certificates: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: DockerEndpoint,
}

#[derive(Deserialize)]
struct DockerEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
}

/// Returns the context in use; `None` for the default one or when it cannot be read.
pub(super) fn in_use(directory: &Path, forced: Option<&str>) -> Option<Context> {
    let name = match forced {
        Some(name) => name.to_owned(),
        None => {
            serde_json::from_slice::<Config>(&std::fs::read(directory.join("config.json")).ok()?)
                .ok()?
                .current_context
        }
    };
    // The context that our own installer names `mini` is the other engine.
    if name.is_empty() || name == "default" || name == "mini" {
        return None;
    }
    let digest = hex::encode(Sha256::digest(name.as_bytes()));
    let meta = std::fs::read(
        directory
            .join("contexts/meta")
            .join(&digest)
            .join("meta.json"),
    )
    .ok()?;
    let url = serde_json::from_slice::<Meta>(&meta)
        .ok()?
        .endpoints
        .docker
        .host;
    let certificates = directory.join("contexts/tls").join(&digest).join("docker");
    (!url.is_empty()).then(|| Context {
        name,
        url,
        certificates: certificates.is_dir().then_some(certificates),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_in_use_is_found_by_the_hash_of_its_name() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(in_use(dir.path(), None), None);
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"currentContext":"far"}"#,
        )
        .unwrap();
        assert_eq!(in_use(dir.path(), None), None);
        let meta = dir
            .path()
            .join("contexts/meta")
            .join(hex::encode(Sha256::digest(b"far")));
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(
            meta.join("meta.json"),
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#,
        )
        .unwrap();
        assert_eq!(in_use(dir.path(), None).unwrap().url, "tcp://far:2376");
        assert_eq!(in_use(dir.path(), Some("default")), None);
    }
}
