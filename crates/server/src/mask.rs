//! Secrets in what engines tell: values whose names look like a secret's are not sent to the page.

use std::sync::LazyLock;

use api::container::EnvEntry;
use regex::Regex;
use serde_json::Value;

/// What a masked value looks like where a text must stand.
pub(crate) const DOTS: &str = "••••••••";

static SECRET_NAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("(?i)pass|secret|token|key|cred|auth|dsn|conn").ok());

/// The name looks like a secret's.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRET_NAME
        .as_ref()
        .is_none_or(|pattern| pattern.is_match(name))
}

/// A variable `NAME=value` for the page; `see_values` is false for viewers.
pub(crate) fn env_entry(variable: &str, see_values: bool) -> EnvEntry {
    let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
    let masked = !see_values || is_secret(key) || holds_password(value);
    EnvEntry {
        key: key.to_owned(),
        value: (!masked).then(|| value.to_owned()),
        masked,
    }
}

/// A URL with a password in it.
fn holds_password(value: &str) -> bool {
    value.split_once("://").is_some_and(|(_, rest)| {
        rest.split(['/', '?'])
            .next()
            .and_then(|authority| authority.rsplit_once('@'))
            .is_some_and(|(user, _)| user.contains(':'))
    })
}

/// Masks every secret in an engine's answer, wherever it stands.
pub(crate) fn mask_json(value: &mut Value, see_values: bool) {
    match value {
        Value::Object(map) => {
            for (name, entry) in map {
                match entry {
                    Value::Array(list) if name == "Env" => {
                        for variable in list {
                            if let Value::String(text) = variable {
                                let shown = env_entry(text, see_values);
                                if shown.masked {
                                    *text = format!("{}={DOTS}", shown.key);
                                }
                            }
                        }
                    }
                    Value::Object(labels)
                        if name == "Labels" || name == "Options" || name == "DriverOpts" =>
                    {
                        for (label, text) in labels {
                            if is_secret(label) && text.is_string() {
                                *text = Value::String(DOTS.to_owned());
                            }
                        }
                    }
                    other => mask_json(other, see_values),
                }
            }
        }
        Value::Array(list) => list
            .iter_mut()
            .for_each(|entry| mask_json(entry, see_values)),
        _ => {}
    }
}

/// Masks the values of labels whose names look like a secret's.
pub(crate) fn mask_labels(labels: &mut std::collections::BTreeMap<String, String>) {
    for (name, value) in labels {
        if is_secret(name) {
            DOTS.clone_into(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut json = serde_json::json!({
            "Config": {"Env": ["PATH=/bin", "DB_PASSWORD=canary", "URL=postgres://u:canary@h/d"], "Labels": {"api.token": "canary", "a": "b"}},
        });
        mask_json(&mut json, true);
        let text = json.to_string();
        assert!(
            !text.contains("canary") && text.contains("PATH=/bin"),
            "{text}"
        );
        mask_json(&mut json, false);
        assert!(!json.to_string().contains("/bin"));
    }

    #[test]
    fn a_viewer_sees_no_values() {
        assert_eq!(
            env_entry("A=b", false),
            EnvEntry {
                key: "A".into(),
                value: None,
                masked: true
            }
        );
        assert_eq!(env_entry("A=b", true).value.as_deref(), Some("b"));
    }
}
