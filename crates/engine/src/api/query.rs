//! Reading requests as Docker does: lenient booleans, repeated parameters, bodies with or without a length.

use std::collections::HashMap;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::error::{EngineError, Result};

/// The largest JSON body that is read, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The query parameters of a request. Unknown ones are ignored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(HashMap<String, Vec<String>>);

impl Params {
    /// Reads a query string.
    pub(crate) fn parse(query: &str) -> Self {
        let mut params = HashMap::<String, Vec<String>>::new();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        for (key, value) in pairs {
            params.entry(key).or_default().push(value);
        }
        Self(params)
    }

    /// Returns a parameter that is there and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .and_then(|values| values.first())
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns all values of a parameter.
    pub(crate) fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Returns a parameter that must be there.
    ///
    /// # Errors
    /// `Invalid` when it is missing or empty.
    pub(crate) fn required(&self, key: &str) -> Result<&str> {
        self.text(key)
            .ok_or_else(|| EngineError::Invalid(format!("missing parameter {key}")))
    }

    /// Returns a boolean: everything but nothing, `0`, `no`, `false` and `none` is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    /// Returns a boolean, `default` when it is not given at all.
    pub(crate) fn flag_or(&self, key: &str, default: bool) -> bool {
        match self.0.get(key).and_then(|values| values.first()) {
            None => default,
            Some(value) => !matches!(
                value.trim().to_ascii_lowercase().as_str(),
                "" | "0" | "no" | "false" | "none"
            ),
        }
    }

    /// Returns a number; `None` when it is not given.
    ///
    /// # Errors
    /// `Invalid` when it is no number.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>> {
        self.text(key)
            .map(|text| {
                text.parse().map_err(|_ignored| {
                    EngineError::Invalid(format!("invalid value for {key}: {text:?}"))
                })
            })
            .transpose()
    }
}

impl<S: Sync> FromRequestParts<S> for Params {
    type Rejection = EngineError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A JSON body; `null`s for missing values and unknown fields are fine.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = EngineError;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        require_json(request.headers())?;
        let bytes = body(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            EngineError::Invalid(if bytes.is_empty() {
                "invalid JSON: got EOF while reading request body".to_owned()
            } else {
                format!("invalid JSON: {error}")
            })
        })
    }
}

/// A JSON body that may be missing.
#[derive(Debug)]
pub(crate) struct OptionalJsonBody<T>(pub(crate) Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = EngineError;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let bytes = body(request, state).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(None));
        }
        serde_json::from_slice(&bytes)
            .map(|value| Self(Some(value)))
            .map_err(|error| EngineError::Invalid(format!("invalid JSON: {error}")))
    }
}

/// Reads the JSON body of a request that was taken apart; `None` when it is empty.
///
/// # Errors
/// `Invalid` for malformed JSON.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: axum::body::Body,
) -> Result<Option<T>> {
    let bytes = axum::body::to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|error| EngineError::Invalid(format!("read request body: {error}")))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    require_json(headers)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| EngineError::Invalid(format!("invalid JSON: {error}")))
}

async fn body<S: Sync + Send>(request: Request, _state: &S) -> Result<Bytes> {
    axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES)
        .await
        .map_err(|error| EngineError::Invalid(format!("read request body: {error}")))
}

fn require_json(headers: &HeaderMap) -> Result<()> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.is_empty() || essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(EngineError::Invalid(format!(
        "unsupported Content-Type header ({kind}): must be 'application/json'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_lenient() {
        for (text, expected) in [
            ("", false),
            ("0", false),
            ("no", false),
            ("false", false),
            ("None", false),
            ("1", true),
            ("true", true),
            ("True", true),
            ("anything", true),
        ] {
            assert_eq!(
                Params::parse(&format!("x={text}")).flag("x"),
                expected,
                "{text}"
            );
        }
        assert!(!Params::parse("y=1").flag("x"));
        assert!(Params::parse("y=1").flag_or("x", true));
    }

    #[test]
    fn values_are_decoded() {
        let params = Params::parse("names=a%2Fb&names=c&n=5&bad=x");
        assert_eq!(params.all("names"), ["a/b", "c"]);
        assert_eq!(params.number::<u32>("n").unwrap(), Some(5));
        assert!(params.number::<u32>("bad").is_err());
    }
}
