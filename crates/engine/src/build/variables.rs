//! The variables of a build: what `ARG` declares and what the caller sets.
//!
//! Source: Dockerfile reference, "ARG" ("Scope", "Predefined ARGs", "Automatic platform ARGs").

use std::collections::{BTreeMap, BTreeSet};

use crate::image::Platform;

/// May be set without being declared, and are kept out of the image's history.
const PREDEFINED: [&str; 12] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
    "SOURCE_DATE_EPOCH",
    "BUILDKIT_INLINE_CACHE",
];

/// Variables by their origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables {
    /// What the caller sets.
    given: BTreeMap<String, String>,
    /// Declared before the first stage.
    global: BTreeMap<String, Option<String>>,
    /// Declared in the stage that is being built.
    stage: BTreeMap<String, Option<String>>,
    /// Of `given`, what was declared.
    used: BTreeSet<String>,
}

impl Variables {
    /// Knows what the caller sets and what the platform is.
    pub(super) fn new(given: &BTreeMap<String, Option<String>>, platform: &Platform) -> Self {
        let host = Platform::host();
        let mut global = BTreeMap::new();
        for (prefix, platform) in [("TARGET", platform), ("BUILD", &host)] {
            for (name, value) in [
                ("PLATFORM", platform.to_string()),
                ("OS", platform.os.clone()),
                ("ARCH", platform.architecture.clone()),
                ("VARIANT", platform.variant.clone()),
            ] {
                global.insert(format!("{prefix}{name}"), Some(value));
            }
        }
        Self {
            given: given
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
                .collect(),
            global,
            ..Self::default()
        }
    }

    /// Declares a variable before the first stage.
    pub(super) fn declare_global(&mut self, name: &str, default: Option<String>) {
        let value = self.given(name).or(default);
        self.global.insert(name.to_owned(), value);
    }

    /// Declares a variable in the stage: the caller's value counts more than the default, and that more than one from
    /// before the first stage.
    pub(super) fn declare(&mut self, name: &str, default: Option<String>) {
        let global = || self.global.get(name).cloned().flatten();
        let value = self.given.get(name).cloned().or(default).or_else(global);
        self.used.insert(name.to_owned());
        self.stage.insert(name.to_owned(), value);
    }

    fn given(&mut self, name: &str) -> Option<String> {
        self.used.insert(name.to_owned());
        self.given.get(name).cloned()
    }

    /// Begins another stage, which knows nothing of the one before.
    pub(super) fn next_stage(&mut self) {
        self.stage.clear();
    }

    /// What `FROM` knows: `NAME=value`.
    pub(super) fn of_from(&self) -> Vec<String> {
        pairs(&self.global)
    }

    /// What the stage's instructions know: `NAME=value`.
    pub(super) fn of_stage(&self) -> Vec<String> {
        pairs(&self.stage)
    }

    /// What a command runs with and the image's history tells: those of the stage that `env` does not set. Sorted.
    pub(super) fn of_command(&self, env: &[String]) -> Vec<String> {
        let set = |name: &str| {
            env.iter()
                .any(|entry| entry.split_once('=').is_some_and(|(key, _)| key == name))
        };
        let mut variables = pairs(&self.stage);
        variables.retain(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !set(name) && !PREDEFINED.contains(&name)
        });
        variables
    }

    /// Predefined ones that the caller sets: a command runs with them, and nothing tells of them.
    pub(super) fn secret(&self) -> Vec<String> {
        let given = self.given.iter();
        given
            .filter(|(name, _)| PREDEFINED.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// What the caller set and nothing declared.
    pub(super) fn unused(&self) -> Vec<&str> {
        let given = self.given.keys().map(String::as_str);
        given
            .filter(|name| !self.used.contains(*name) && !PREDEFINED.contains(name))
            .collect()
    }
}

fn pairs(variables: &BTreeMap<String, Option<String>>) -> Vec<String> {
    variables
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(given: &[(&str, &str)]) -> Variables {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect();
        Variables::new(&given, &Platform::host())
    }

    #[test]
    fn the_callers_value_counts_most() {
        let mut known = variables(&[("A", "given"), ("X", "x"), ("HTTP_PROXY", "p")]);
        known.declare_global("A", Some("global".into()));
        known.declare_global("B", Some("global".into()));
        assert!(known.of_from().contains(&"A=given".to_owned()));
        assert!(known.of_stage().is_empty());
        known.declare("A", Some("default".into()));
        known.declare("B", None);
        known.declare("C", None);
        known.declare("TARGETOS", None);
        assert_eq!(known.of_stage(), ["A=given", "B=global", "TARGETOS=linux"]);
        assert_eq!(
            known.of_command(&["A=env".to_owned()]),
            ["B=global", "TARGETOS=linux"]
        );
        assert_eq!(known.secret(), ["HTTP_PROXY=p"]);
        assert_eq!(known.unused(), ["X"]);
        known.next_stage();
        assert!(known.of_stage().is_empty());
    }
}
