//! Image references: `alpine`, `localhost:5000/team/app:1.2@sha256:…`.
//!
//! The grammar and the short ("familiar") forms are those of the distribution project, since every client relies on
//! `alpine` meaning `docker.io/library/alpine:latest`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const MAX_NAME_LENGTH: usize = 255;

/// A normalised reference to an image in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What makes a text no [`Reference`]; the texts are Docker's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidReference {
    /// The grammar does not match.
    #[error("invalid reference format")]
    Format,
    /// The repository has capital letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    /// The repository's name is too long.
    #[error("invalid reference format: repository name must not be more than 255 characters")]
    TooLong,
    /// 64 hexadecimal digits are an image id, never a name.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Identifier(String),
}

impl Reference {
    /// The registry's host and port; `docker.io` when the reference names none.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry, such as `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Domain and path: `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The name as people write it: `alpine`, `team/app`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(DEFAULT_NAMESPACE) {
            Some(short) if !short.contains('/') => short.into(),
            _ => self.path.clone(),
        }
    }

    /// The reference as people write it: `alpine:latest`, `app@sha256:…`.
    pub fn familiar(&self) -> String {
        self.written(self.familiar_name())
    }

    /// This reference with the tag `latest` when it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.into());
        }
        self
    }

    /// The same repository at `digest`, without a tag.
    #[must_use]
    pub fn at_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The same repository with `tag`, without a digest.
    ///
    /// # Errors
    /// `Format` when `tag` is no tag.
    pub fn at_tag(&self, tag: &str) -> Result<Self, InvalidReference> {
        if !is_tag(tag) {
            return Err(InvalidReference::Format);
        }
        Ok(Self {
            tag: Some(tag.into()),
            digest: None,
            ..self.clone()
        })
    }

    fn written(&self, name: String) -> String {
        let mut text = name;
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_bad| InvalidReference::Format)?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon after the last slash begins a tag; one before it belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') && !tag.ends_with(']') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(InvalidReference::Format);
        }
        if name.len() == 64 && name.bytes().all(is_lower_hex) {
            return Err(InvalidReference::Identifier(name.into()));
        }
        let (domain, path) = split_domain(name);
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidReference::UpperCase(path));
        }
        if !is_domain(&domain) || !is_path(&path) {
            return Err(InvalidReference::Format);
        }
        if domain.len() + 1 + path.len() > MAX_NAME_LENGTH {
            return Err(InvalidReference::TooLong);
        }
        Ok(Self {
            domain,
            path,
            tag: tag.map(Into::into),
            digest,
        })
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(self.name()))
    }
}

/// The first component is a registry's host only when it could not be a user's name.
fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == "index.docker.io" {
        DEFAULT_DOMAIN
    } else {
        domain
    };
    if domain == DEFAULT_DOMAIN && !path.contains('/') {
        (domain.into(), format!("{DEFAULT_NAMESPACE}{path}"))
    } else {
        (domain.into(), path.into())
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return !address.is_empty()
            && address
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn is_path(path: &str) -> bool {
    path.split('/').all(is_path_component)
}

/// Runs of `[a-z0-9]` joined by one dot, one or two underscores, or any number of dashes.
fn is_path_component(component: &str) -> bool {
    let mut rest = component;
    loop {
        let word = rest
            .bytes()
            .take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
            .count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let dashes = rest.bytes().take_while(|byte| *byte == b'-').count();
        let separator = if dashes > 0 {
            dashes
        } else if rest.starts_with("__") {
            2
        } else if rest.starts_with(['_', '.']) {
            1
        } else {
            return false;
        };
        rest = &rest[separator..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn short_names_mean_what_docker_means() {
        for (text, full, familiar) in [
            ("alpine", "docker.io/library/alpine", "alpine"),
            ("alpine:3", "docker.io/library/alpine:3", "alpine:3"),
            ("team/app", "docker.io/team/app", "team/app"),
            ("library/alpine", "docker.io/library/alpine", "alpine"),
            (
                "index.docker.io/alpine",
                "docker.io/library/alpine",
                "alpine",
            ),
            ("localhost/app", "localhost/app", "localhost/app"),
            (
                "localhost:5000/a/b:1",
                "localhost:5000/a/b:1",
                "localhost:5000/a/b:1",
            ),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            ("ghcr.io/a/b__c", "ghcr.io/a/b__c", "ghcr.io/a/b__c"),
            ("UPPER/app", "UPPER/app", "UPPER/app"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
        }
        let both: Reference = format!("a:1@sha256:{HEX}").parse().unwrap();
        assert_eq!(
            both.to_string(),
            format!("docker.io/library/a:1@sha256:{HEX}")
        );
        assert_eq!(
            "a".parse::<Reference>()
                .unwrap()
                .with_default_tag()
                .familiar(),
            "a:latest"
        );
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for text in [
            "",
            ":",
            "@",
            "a:",
            "a@",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            "a b",
            "a:b c",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a:-x",
            "a@md5:00",
            "http://a/b",
            "a\0b",
            "ä",
            "host:port/a",
            "[::g]/a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
        assert_eq!(
            "Alpine".parse::<Reference>(),
            Err(InvalidReference::UpperCase("library/Alpine".into()))
        );
        assert_eq!(
            HEX.parse::<Reference>(),
            Err(InvalidReference::Identifier(HEX.into()))
        );
        assert_eq!(
            "a/".repeat(130).trim_end_matches('/').parse::<Reference>(),
            Err(InvalidReference::TooLong)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_survives_a_round_trip(text in "\\PC{0,80}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
                prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
            }
        }

        #[test]
        fn every_reference_of_the_grammar_is_read(
            domain in proptest::option::of("[a-z]{1,5}\\.[a-z]{2,3}(:[0-9]{1,5})?"),
            path in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,8}){0,2}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        ) {
            // A dot in the first of several components makes it a host.
            let first = path.split_once('/').map_or("", |(first, _)| first);
            prop_assume!(domain.is_some() || !first.contains('.'));
            let mut text = domain.clone().map_or(path.clone(), |domain| format!("{domain}/{path}"));
            if let Some(tag) = &tag {
                text = format!("{text}:{tag}");
            }
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!(reference.tag(), tag.as_deref());
            if let Some(domain) = &domain {
                prop_assert_eq!(reference.domain(), domain.as_str());
            }
        }
    }
}
