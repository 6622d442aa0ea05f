//! The `filters` query parameter, in both forms that Docker has had: `{"label":["a=b"]}` and `{"label":{"a=b":true}}`.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::error::{EngineError, Result};

/// Filters by key, each with the values of which one must match (for `label`: all).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    values: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Map(BTreeMap<String, bool>),
}

impl Filters {
    /// Reads the query parameter; a missing or empty one filters nothing.
    ///
    /// # Errors
    /// `Invalid` for malformed JSON and for a key that is not among `accepted`.
    pub(crate) fn parse(query: Option<&str>, accepted: &[&str]) -> Result<Self> {
        let text = query.unwrap_or_default();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let read: BTreeMap<String, Values> = serde_json::from_str(text)
            .map_err(|error| EngineError::Invalid(format!("invalid filter: {error}")))?;
        let mut values = BTreeMap::new();
        for (key, list) in read {
            if !accepted.contains(&key.as_str()) {
                return Err(EngineError::Invalid(format!("invalid filter '{key}'")));
            }
            let list = match list {
                Values::List(list) => list,
                Values::Map(map) => map
                    .into_iter()
                    .filter_map(|(k, on)| on.then_some(k))
                    .collect(),
            };
            if !list.is_empty() {
                values.insert(key, list);
            }
        }
        Ok(Self { values })
    }

    /// Adds a value to a filter.
    pub(crate) fn add(&mut self, key: &str, value: &str) {
        self.values
            .entry(key.to_owned())
            .or_default()
            .push(value.to_owned());
    }

    /// Returns the values of a filter; none when it is not given.
    pub(crate) fn get(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// Tells whether a filter is given.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Tells whether `value` equals one of the filter's values, or the filter is not given.
    pub(crate) fn matches_exactly(&self, key: &str, value: &str) -> bool {
        let wanted = self.get(key);
        wanted.is_empty() || wanted.iter().any(|w| w == value)
    }

    /// Tells whether `value` begins with one of the filter's values, or the filter is not given.
    pub(crate) fn matches_prefix(&self, key: &str, value: &str) -> bool {
        let wanted = self.get(key);
        wanted.is_empty() || wanted.iter().any(|w| value.starts_with(w.as_str()))
    }

    /// Tells whether one of the filter's values, as a regular expression, is found in `value`, or the filter is not
    /// given. A value that is no regular expression must be equal.
    pub(crate) fn matches_regex(&self, key: &str, value: &str) -> bool {
        let wanted = self.get(key);
        wanted.is_empty()
            || wanted.iter().any(|w| {
                w == value
                    || regex::Regex::new(w).is_ok_and(|expression| expression.is_match(value))
            })
    }

    /// Tells whether the labels have all that `label` asks for (`key` or `key=value`) and none that `label!` names.
    pub(crate) fn matches_labels(&self, labels: &HashMap<String, String>) -> bool {
        self.matches_label_values(|key| labels.get(key).map(String::as_str))
    }

    /// The same of labels that are kept otherwise: `value_of` returns that of a key.
    pub(crate) fn matches_label_values<'a>(
        &self,
        value_of: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => value_of(key) == Some(value),
            None => value_of(wanted).is_some(),
        };
        self.get("label").iter().all(has) && !self.get("label!").iter().any(has)
    }

    /// Returns a boolean filter such as `dangling`; `None` when it is not given.
    ///
    /// # Errors
    /// `Invalid` for a value that is no boolean.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>> {
        let mut answer = None;
        for value in self.get(key) {
            let read = match value.as_str() {
                "1" | "t" | "true" | "True" | "TRUE" => true,
                "0" | "f" | "false" | "False" | "FALSE" => false,
                _ => {
                    return Err(EngineError::Invalid(format!(
                        "invalid filter '{key}={value}'"
                    )));
                }
            };
            answer = Some(read);
        }
        Ok(answer)
    }

    /// Returns the time of the `until` filter of a prune, nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// `Invalid` for more than one value or one that is no time.
    pub(crate) fn until_ns(&self) -> Result<Option<i64>> {
        match self.get("until") {
            [] => Ok(None),
            [one] => crate::time::parse(one).map(Some),
            _ => Err(EngineError::Invalid(
                "more than one until filter specified".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let list = Filters::parse(Some(r#"{"label":["a=b"]}"#), &["label"]).unwrap();
        let map = Filters::parse(Some(r#"{"label":{"a=b":true,"c":false}}"#), &["label"]).unwrap();
        assert_eq!(list, map);
        assert_eq!(Filters::parse(None, &[]).unwrap(), Filters::default());
        assert_eq!(Filters::parse(Some("{}"), &[]).unwrap(), Filters::default());
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Filters::parse(Some(r#"{"x":["1"]}"#), &["label"]).unwrap_err();
        assert_eq!(error.to_string(), "invalid filter 'x'");
    }

    #[test]
    fn labels_match_by_key_or_pair() {
        let labels = HashMap::from([("a".to_owned(), "b".to_owned())]);
        let of = |text: &str| Filters::parse(Some(text), &["label", "label!"]).unwrap();
        assert!(of(r#"{"label":["a"]}"#).matches_labels(&labels));
        assert!(of(r#"{"label":["a=b"]}"#).matches_labels(&labels));
        assert!(!of(r#"{"label":["a=c"]}"#).matches_labels(&labels));
        assert!(!of(r#"{"label":["a","z"]}"#).matches_labels(&labels));
        assert!(!of(r#"{"label!":["a"]}"#).matches_labels(&labels));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            drop(Filters::parse(Some(&text), &["a"]));
        }
    }
}
