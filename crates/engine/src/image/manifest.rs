//! Manifests and indexes, of the OCI and of Docker (schema 2), and which platform is meant.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::error::{EngineError, Result};

/// Largest manifest or index that is read, in bytes.
pub(super) const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Largest image configuration that is read, in bytes.
pub(super) const MAX_CONFIG_BYTES: u64 = 8 << 20;

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(super) const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// What a registry is asked for, the preferred kinds first.
pub(super) const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// A named piece of content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    /// Bytes.
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// One image: its configuration and layers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// Several images, one a platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) media_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

/// Either of them.
#[derive(Debug)]
pub(super) enum Document {
    Manifest(Manifest),
    Index(Index),
}

impl Document {
    /// Reads a manifest or index; what it is says its content, whatever its label claims.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid =
            |error: serde_json::Error| EngineError::Invalid(format!("read manifest: {error}"));
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(invalid)?;
        match value
            .get("schemaVersion")
            .and_then(serde_json::Value::as_u64)
        {
            Some(2) => {}
            Some(1) => {
                return Err(EngineError::Invalid(
                    "image has a manifest of Docker schema 1, which is no longer supported: push the image again with a current client".into(),
                ));
            }
            _ => {
                return Err(EngineError::Invalid(
                    "read manifest: unknown schema version".into(),
                ));
            }
        }
        // One document that is both would be read differently by different clients (CVE-2021-41190).
        match (
            value.get("manifests").is_some(),
            value.get("layers").is_some(),
        ) {
            (true, false) => serde_json::from_value(value)
                .map(Self::Index)
                .map_err(invalid),
            (false, true) => serde_json::from_value(value)
                .map(Self::Manifest)
                .map_err(invalid),
            _ => Err(EngineError::Invalid(
                "read manifest: neither a manifest nor an index".into(),
            )),
        }
    }
}

/// An operating system and processor, as in `linux/arm64/v8`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) variant: String,
}

impl Platform {
    /// The one this engine runs on.
    pub(crate) fn host() -> Self {
        Self {
            os: "linux".into(),
            architecture: architecture(std::env::consts::ARCH).into(),
            variant: String::new(),
        }
    }

    /// Reads `OS/ARCHITECTURE[/VARIANT]`, or an architecture alone.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let well_formed = parts.iter().all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        });
        let (os, arch, variant) = match parts.as_slice() {
            [arch] => ("linux", *arch, ""),
            [os, arch] => (*os, *arch, ""),
            [os, arch, variant] => (*os, *arch, *variant),
            _ => ("", "", ""),
        };
        if !well_formed || os.is_empty() {
            return Err(EngineError::Invalid(format!(
                "invalid platform {text:?}: want os/architecture, such as linux/amd64"
            )));
        }
        Ok(Self {
            os: os.to_ascii_lowercase(),
            architecture: architecture(&arch.to_ascii_lowercase()).into(),
            variant: variant.to_ascii_lowercase(),
        })
    }

    /// Whether an image of platform `offered` is one for this platform.
    pub(crate) fn takes(&self, offered: &Self) -> bool {
        let default_variant = if self.architecture == "arm64" {
            "v8"
        } else {
            ""
        };
        let variant = |platform: &Self| {
            if platform.variant.is_empty() {
                default_variant.to_owned()
            } else {
                platform.variant.clone()
            }
        };
        offered.os == self.os
            && architecture(&offered.architecture) == self.architecture
            && (self.variant.is_empty() || variant(self) == variant(offered))
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

/// Go's name of an architecture.
fn architecture(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "x86" | "i386" | "i686" => "386",
        other => other,
    }
}

impl Index {
    /// The manifest for `platform`; the first when several fit.
    pub(super) fn select(&self, platform: &Platform) -> Option<&Descriptor> {
        let fits = |descriptor: &&Descriptor| {
            descriptor
                .platform
                .as_ref()
                .is_some_and(|offered| platform.takes(offered))
        };
        // An index of one image may leave its platform unsaid.
        self.manifests
            .iter()
            .find(fits)
            .or(match self.manifests.as_slice() {
                [only] if only.platform.is_none() => Some(only),
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_many_spellings() {
        let amd64 = Platform::parse("linux/x86_64").unwrap();
        assert_eq!(amd64, Platform::parse("amd64").unwrap());
        assert_eq!(Platform::parse("linux/arm/v7").unwrap().variant, "v7");
        for bad in ["", "/", "linux/", "a/b/c/d", "li nux/amd64"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
        let arm64_v8 = Platform::parse("linux/arm64/v8").unwrap();
        assert!(Platform::parse("arm64").unwrap().takes(&arm64_v8));
        assert!(!amd64.takes(&arm64_v8));
    }

    #[test]
    fn a_document_that_is_both_kinds_is_neither() {
        let both = br#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#;
        assert!(Document::parse(both).is_err());
        assert!(
            Document::parse(br#"{"schemaVersion":1}"#)
                .unwrap_err()
                .to_string()
                .contains("schema 1")
        );
        assert!(matches!(
            Document::parse(br#"{"schemaVersion":2,"manifests":[]}"#),
            Ok(Document::Index(_))
        ));
    }
}
