//! Paths from outside, checked.

use crate::http::ApiError;

/// Longest path, in bytes.
const LONGEST: usize = 4096;

/// An absolute path without `.`, `..`, empty parts or zero bytes; `/` for the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CleanPath(String);

impl CleanPath {
    /// Reads a path; `field` names it when it is refused.
    pub(crate) fn parse(field: &str, path: &str) -> Result<Self, ApiError> {
        let wrong = |message: &str| Err(ApiError::invalid_field(field, message));
        if !path.starts_with('/') {
            return wrong("must be an absolute path");
        }
        if path.len() > LONGEST || path.contains('\0') {
            return wrong("must be at most 4096 bytes without a zero byte");
        }
        // An engine would follow it; who means another directory says which.
        if path.split('/').any(|part| part == "..") {
            return wrong("must not hold '..'");
        }
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        Ok(Self(format!("/{}", parts.join("/"))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The last part; empty for the root.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that it is in.
    pub(crate) fn parent(&self) -> Self {
        match self.0.rsplit_once('/') {
            None | Some(("", _)) => Self("/".to_owned()),
            Some((parent, _)) => Self(parent.to_owned()),
        }
    }

    /// The same below `prefix`, such as `/volume`.
    pub(crate) fn below(&self, prefix: &str) -> Self {
        if prefix.is_empty() {
            self.clone()
        } else if self.is_root() {
            Self(prefix.to_owned())
        } else {
            Self(format!("{prefix}{}", self.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        let clean = |path: &str| CleanPath::parse("path", path).map(|path| path.0).ok();
        assert_eq!(clean("/a//b/./c/").as_deref(), Some("/a/b/c"));
        assert_eq!(clean("/").as_deref(), Some("/"));
        assert_eq!(clean("/..a/b..").as_deref(), Some("/..a/b.."));
        for wrong in ["", "a", "/a/../b", "/..", "/a\0b", "../x"] {
            assert_eq!(clean(wrong), None, "{wrong:?}");
        }
        let path = CleanPath::parse("path", "/a/b").unwrap();
        assert_eq!((path.name(), path.parent().as_str()), ("b", "/a"));
        assert_eq!(path.parent().parent().as_str(), "/");
        assert_eq!(path.below("/volume").as_str(), "/volume/a/b");
        assert_eq!(
            CleanPath::parse("path", "/")
                .unwrap()
                .below("/volume")
                .as_str(),
            "/volume"
        );
    }

    proptest::proptest! {
        #[test]
        fn a_clean_path_cannot_walk(text in "[/.a\\x00-]{0,20}") {
            if let Ok(path) = CleanPath::parse("path", &text) {
                proptest::prop_assert!(path.as_str().starts_with('/'));
                proptest::prop_assert!(!path.as_str().split('/').any(|part| part == ".." || part == "."));
                proptest::prop_assert!(path.is_root() || !path.as_str().contains("//"));
            }
        }
    }
}
