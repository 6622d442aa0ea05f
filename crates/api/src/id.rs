//! Identifiers from outside, checked when they are read: nothing that reaches an engine's URL can walk to another path.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a string is not the identifier it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidId {
    /// The kind of identifier, such as `container id`.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub value: String,
    /// What would have been valid, in words.
    pub rule: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String)]
        pub struct $name(String);

        impl $name {
            /// Returns the identifier when `value` is a valid one.
            ///
            /// # Errors
            /// [`InvalidId`] with the rule that it breaks.
            pub fn parse(value: &str) -> Result<Self, InvalidId> {
                let check: fn(&str) -> bool = $check;
                if check(value) {
                    Ok(Self(value.to_owned()))
                } else {
                    Err(InvalidId {
                        what: $what,
                        value: value.chars().take(80).collect(),
                        rule: $rule,
                    })
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::parse(&value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Docker's own rule for names: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
fn is_name(value: &str, longest: usize) -> bool {
    value.len() <= longest
        && value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_hex(value: &str, length: usize) -> bool {
    value.len() == length
        && value
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `host.name:5000/path/of/name:tag@sha256:…`, each path component as the reference grammar has it, so `..` cannot occur.
fn is_image(value: &str) -> bool {
    if value.is_empty() || value.len() > 512 {
        return false;
    }
    if let Some(digest) = value.strip_prefix("sha256:") {
        return is_hex(digest, 64);
    }
    let (rest, digest) = match value.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (value, None),
    };
    if digest.is_some_and(|digest| {
        !(digest
            .strip_prefix("sha256:")
            .is_some_and(|d| is_hex(d, 64))
            || digest
                .strip_prefix("sha512:")
                .is_some_and(|d| is_hex(d, 128)))
    }) {
        return false;
    }
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    let tag_is_valid = tag.is_none_or(|tag| {
        !tag.is_empty()
            && tag.len() <= 128
            && !tag.starts_with(['.', '-'])
            && tag
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    });
    tag_is_valid
        && path
            .split('/')
            .enumerate()
            .all(|(position, part)| is_image_component(part, position == 0 && path.contains('/')))
}

fn is_image_component(part: &str, may_be_host: bool) -> bool {
    let (name, port) = match part.split_once(':') {
        Some((name, port)) if may_be_host => (name, Some(port)),
        _ => (part, None),
    };
    !name.is_empty()
        && port
            .is_none_or(|p| !p.is_empty() && p.len() <= 5 && p.bytes().all(|b| b.is_ascii_digit()))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !name.contains("..")
        && name.bytes().all(|b| {
            b.is_ascii_lowercase()
                || b.is_ascii_digit()
                || matches!(b, b'_' | b'.' | b'-')
                || (may_be_host && b.is_ascii_uppercase())
        })
}

identifier!(
    /// Names an engine in URLs: `docker` or `mini`.
    EngineName, "engine name", "lower-case letters, digits and '-', at most 32", |v| {
        (1..=32).contains(&v.len())
            && v.starts_with(|c: char| c.is_ascii_lowercase())
            && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);
identifier!(
    /// A container: its id of 64 hexadecimal digits, a unique beginning of it, or its name.
    ContainerId, "container id", "letters, digits, '_', '.' and '-', starting with a letter or digit, at most 255",
    |v| is_name(v, 255)
);
identifier!(
    /// An image: `sha256:` and 64 hexadecimal digits, or a reference such as `registry:5000/name:tag`.
    /// In a URL its slashes are percent-encoded.
    ImageId, "image", "sha256:<64 hex digits> or [host[:port]/]name[:tag][@digest] in lower case", is_image
);
identifier!(
    /// A volume's name.
    VolumeName, "volume name", "letters, digits, '_', '.' and '-', starting with a letter or digit, at most 255",
    |v| is_name(v, 255)
);
identifier!(
    /// A network: its id or its name.
    NetworkId, "network", "letters, digits, '_', '.' and '-', starting with a letter or digit, at most 255",
    |v| is_name(v, 255)
);
identifier!(
    /// A job of the server.
    JobId, "job id", "letters, digits and '-', at most 64",
    |v| is_name(v, 64) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
);
identifier!(
    /// A user's name.
    UserName, "user name", "1 to 64 of letters, digits, '_', '.', '-' and '@', not only dots",
    |v| {
        (1..=64).contains(&v.len())
            && v.bytes().any(|b| b != b'.')
            && v.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'@'))
    }
);
identifier!(
    /// A rule of alerts.
    AlertRuleId, "rule id", "16 hexadecimal digits in lower case", |v| is_hex(v, 16)
);
identifier!(
    /// A channel that alerts are sent to.
    AlertChannelId, "channel id", "16 hexadecimal digits in lower case", |v| is_hex(v, 16)
);
identifier!(
    /// A session's handle, which opens nothing.
    SessionId, "session id", "16 hexadecimal digits in lower case", |v| is_hex(v, 16)
);
identifier!(
    /// A token's handle, which opens nothing.
    TokenId, "token id", "16 hexadecimal digits in lower case", |v| is_hex(v, 16)
);
identifier!(
    /// A terminal.
    TerminalId, "terminal id", "32 hexadecimal digits", |v| is_hex(v, 32)
);
identifier!(
    /// What a container was made with.
    RevisionId, "revision id", "32 hexadecimal digits", |v| is_hex(v, 32)
);

#[cfg(test)]
mod tests {
    use super::*;

    const TRICKS: [&str; 14] = [
        "",
        ".",
        "..",
        "../version",
        "x/../../version",
        "x/../y",
        "%2e%2e",
        "a%00b",
        "a\0b",
        "a?force=1",
        "a#b",
        "a b",
        "a\\..\\b",
        "ä",
    ];

    #[test]
    fn tricks_are_no_identifiers() {
        for trick in TRICKS {
            assert!(EngineName::parse(trick).is_err(), "{trick:?}");
            assert!(ContainerId::parse(trick).is_err(), "{trick:?}");
            assert!(ImageId::parse(trick).is_err(), "{trick:?}");
            assert!(VolumeName::parse(trick).is_err(), "{trick:?}");
            assert!(NetworkId::parse(trick).is_err(), "{trick:?}");
            assert!(JobId::parse(trick).is_err(), "{trick:?}");
            assert!(UserName::parse(trick).is_err(), "{trick:?}");
            assert!(SessionId::parse(trick).is_err(), "{trick:?}");
            assert!(TokenId::parse(trick).is_err(), "{trick:?}");
        }
    }

    #[test]
    fn image_references_are_read_as_the_grammar_says() {
        for good in [
            "busybox",
            "busybox:1.36",
            "library/busybox",
            "localhost:5000/a/b-c_d.e:latest",
            "Registry.example/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert!(ImageId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "Busybox",
            "a//b",
            "/a",
            "a/",
            "a:",
            "a@sha256:12",
            "a:b:c",
            "-a",
            "a:../b",
            "a/.b",
        ] {
            assert!(ImageId::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_is_one_safe_path(value in "\\PC{0,40}") {
            if let Ok(id) = ContainerId::parse(&value) {
                proptest::prop_assert!(!id.as_str().contains(['/', '%', '?', '#', '\\']) && id.as_str() != "..");
            }
            if let Ok(id) = ImageId::parse(&value) {
                proptest::prop_assert!(id.as_str().split('/').all(|part| part != ".." && part != "." && !part.is_empty()));
            }
        }
    }
}
