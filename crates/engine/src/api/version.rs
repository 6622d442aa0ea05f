//! The version prefix of Docker's paths and the headers that every answer carries.
//!
//! This wraps the router as a service of its own: the router's middleware runs after a route was chosen, too late to
//! take a prefix off the path.

use axum::{
    http::{HeaderValue, Response, StatusCode, Uri},
    response::IntoResponse as _,
};

use super::{API_VERSION, MIN_API_VERSION, error};

/// The API version a request was made with: that of its path, or the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion(pub(crate) u32, pub(crate) u32);

/// From this version on the content type says whether a stream is multiplexed.
pub(super) const MULTIPLEXED_SINCE: ApiVersion = ApiVersion(1, 42);

/// Takes `/v1.NN` off the path and remembers it.
///
/// # Errors
/// The answer to give when the version is too new or too old.
pub(super) fn strip_prefix<B>(
    request: &mut http::Request<B>,
) -> Result<(), Box<Response<axum::body::Body>>> {
    let (version, path) = split(request.uri().path());
    let path = path.to_owned();
    let newest = ApiVersion(API_VERSION.0, API_VERSION.1);
    let oldest = ApiVersion(MIN_API_VERSION.0, MIN_API_VERSION.1);
    let refuse = |text: String| {
        Err(Box::new(
            error::message(StatusCode::BAD_REQUEST, text).into_response(),
        ))
    };
    match version {
        Some(asked) if asked > newest => {
            return refuse(format!(
                "client version {}.{} is too new. Maximum supported API version is {}.{}",
                asked.0, asked.1, newest.0, newest.1
            ));
        }
        Some(asked) if asked < oldest => {
            return refuse(format!(
                "client version {}.{} is too old. Minimum supported API version is {}.{}, please upgrade your client to a newer version",
                asked.0, asked.1, oldest.0, oldest.1
            ));
        }
        _ => {}
    }
    request.extensions_mut().insert(version.unwrap_or(newest));
    if version.is_some() {
        let mut parts = request.uri().clone().into_parts();
        let rest = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let Ok(rest) = rest.parse() else {
            return refuse("invalid path".to_owned());
        };
        parts.path_and_query = Some(rest);
        match Uri::from_parts(parts) {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return refuse("invalid path".to_owned()),
        }
    }
    Ok(())
}

fn split(path: &str) -> (Option<ApiVersion>, &str) {
    let parse = || {
        let rest = path.strip_prefix("/v")?;
        let end = rest.find('/')?;
        let (version, rest) = rest.split_at(end);
        let (major, minor) = version.split_once('.')?;
        Some((ApiVersion(major.parse().ok()?, minor.parse().ok()?), rest))
    };
    match parse() {
        Some((version, rest)) => (Some(version), rest),
        None => (None, path),
    }
}

/// Adds the headers by which clients negotiate.
pub(super) fn add_headers<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    let version = format!("{}.{}", API_VERSION.0, API_VERSION.1);
    if let Ok(version) = HeaderValue::from_str(&version) {
        headers.insert("api-version", version);
    }
    headers.insert("docker-experimental", HeaderValue::from_static("false"));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert(
        "server",
        HeaderValue::from_static(concat!(
            "ContainerOS-Mini/",
            env!("CARGO_PKG_VERSION"),
            " (linux)"
        )),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_split_off() {
        assert_eq!(split("/v1.41/info"), (Some(ApiVersion(1, 41)), "/info"));
        assert_eq!(split("/volumes"), (None, "/volumes"));
        assert_eq!(split("/v1.41"), (None, "/v1.41"));
        assert_eq!(split("/version"), (None, "/version"));
    }

    #[test]
    fn versions_out_of_range_are_refused() {
        for (path, refused) in [
            ("/v1.99/info", true),
            ("/v1.12/info", true),
            ("/v1.24/info?a=b", false),
        ] {
            let mut request = http::Request::builder().uri(path).body(()).unwrap();
            assert_eq!(strip_prefix(&mut request).is_err(), refused, "{path}");
            if !refused {
                assert_eq!(request.uri().to_string(), "/info?a=b");
            }
        }
    }
}
