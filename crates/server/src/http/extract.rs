//! What handlers take from a request, with our own words when it is not there.

use api::problem::ProblemCode;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::de::DeserializeOwned;

use super::ApiError;
use crate::{
    auth::{Caller, Session},
    state::AppState,
};

/// Deepest nesting of JSON that is read.
const JSON_DEPTH: usize = 64;

/// Identifiers of the path.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Params<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Path::<T>::from_request_parts(parts, state)
            .await
            .map(|Path(value)| Self(value))
            .map_err(|rejection| {
                let text = rejection.body_text();
                ApiError::new(
                    StatusCode::BAD_REQUEST,
                    ProblemCode::InvalidId,
                    text.trim_start_matches("Invalid URL: "),
                )
            })
    }
}

/// The query.
#[derive(Debug)]
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for QueryParams<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Query::<T>::from_request_parts(parts, state)
            .await
            .map(|Query(value)| Self(value))
            .map_err(|rejection| {
                let text = rejection.body_text();
                let text = text.trim_start_matches("Failed to deserialize query string: ");
                match text.split_once(": ") {
                    Some((field, message)) => ApiError::invalid_field(field, message),
                    None => ApiError::malformed(format!("read the query: {text}")),
                }
            })
    }
}

/// A body of JSON; an empty one is `{}`.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| {
                kind.split(';')
                    .next()
                    .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
            });
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                    ApiError::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        ProblemCode::TooLarge,
                        "the body is larger than 1 MiB",
                    )
                } else {
                    ApiError::malformed("the body cannot be read")
                }
            })?;
        if !is_json && !bytes.is_empty() {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ProblemCode::UnsupportedMediaType,
                "the body must be application/json",
            ));
        }
        if nests_deeper(&bytes, JSON_DEPTH) {
            return Err(ApiError::malformed(format!(
                "the JSON is nested deeper than {JSON_DEPTH}"
            )));
        }
        read_object(&bytes).map(Self)
    }
}

/// Reads a JSON object; what is wrong with one of its fields is told under the field's name.
fn read_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // A list would be taken for the fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::malformed("read the body: it is no JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        let text = error.to_string();
        // Where in the text it is helps nobody who is told the field.
        let message = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(message, _)| message);
        if error.is_data() && field != "." {
            ApiError::invalid_field(&field, message)
        } else {
            ApiError::malformed(format!("read the body: {text}"))
        }
    })?;
    json.end()
        .map_err(|error| ApiError::malformed(format!("read the body: {error}")))?;
    Ok(value)
}

/// Tells whether JSON nests deeper than `limit`, without reading it otherwise.
fn nests_deeper(json: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Self, Response> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| unauthenticated().into_response())
    }
}

/// The session of the one who calls in person.
#[derive(Clone, Debug)]
pub(crate) struct Person(pub(crate) Session);

impl FromRequestParts<AppState> for Person {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Self, ApiError> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Person(session)) => Ok(Self(session.clone())),
            _ => Err(unauthenticated()),
        }
    }
}

pub(super) fn unauthenticated() -> ApiError {
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        ProblemCode::Unauthenticated,
        "nobody is signed in, or the session ended",
    )
    .hint("sign in")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert!(!nests_deeper(br#"{"a":"[[[[\"[["}"#, 2));
        assert!(nests_deeper(b"[[[", 2));
    }

    fn depth(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
            serde_json::Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = proptest::prop_oneof![
            "[\\[\\]{}\"\\\\a ]{0,8}".prop_map(serde_json::Value::String),
            any::<i64>().prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ];
        leaf.prop_recursive(6, 40, 4, |inner| {
            proptest::prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
                proptest::collection::btree_map("[\\[{\"a]{0,3}", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn depth_is_what_a_reader_of_json_finds(value in json(), limit in 0_usize..8) {
            let text = serde_json::to_vec(&value).unwrap();
            proptest::prop_assert_eq!(nests_deeper(&text, limit), depth(&value) > limit);
        }

        #[test]
        fn any_body_is_read_or_told_what_is_wrong(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Err(error) = read_object::<api::container::ContainerCreateRequest>(&bytes) {
                let problem = error.into_problem();
                proptest::prop_assert!(matches!(problem.status, 400 | 422) && !problem.detail.is_empty());
            }
        }
    }
}
