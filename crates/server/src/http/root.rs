//! The outermost layer: request ids, panics, hosts, origins, paths and security headers. No route escapes it.

use std::panic::AssertUnwindSafe;

use api::problem::ProblemCode;
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;

use super::{ApiError, error::REQUEST_ID};
use crate::state::AppState;

/// Inline style is open because the terminal, menus and editor inject style elements; scripts never are.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=()",
    ),
];

/// Lets a request through when its host, origin and path are fine.
pub(super) async fn root(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let id = new_request_id();
    let name = id.clone();
    let tls = state.origins.tls;
    let mut response = REQUEST_ID
        .scope(id.clone(), async move {
            match check(&state, &request) {
                Err(refused) => refused.into_response(),
                Ok(()) => match AssertUnwindSafe(next.run(request)).catch_unwind().await {
                    Ok(response) => response,
                    Err(_panic) => ApiError::internal("a handler panicked").into_response(),
                },
            }
        })
        .await;
    let headers = response.headers_mut();
    for (header, value) in HEADERS {
        headers.insert(header, HeaderValue::from_static(value));
    }
    // A file from a container brings its own, stricter policy.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    if tls {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert("x-request-id", value);
    }
    response
}

fn check(state: &AppState, request: &Request) -> Result<(), ApiError> {
    let path = request.uri().path();
    let is_api = path.starts_with("/api/");
    if !state.origins.host_is_ours(request.headers()) {
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            ProblemCode::CrossSite,
            "this server does not go by that host name",
        )
        .hint("open the address that the server printed, or allow the name with --allow-host"));
    }
    if !state
        .origins
        .is_same_site(request.method(), is_api, request.headers())
    {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            ProblemCode::CrossSite,
            "the request does not come from this server's own page",
        )
        .hint("a program sets the header Origin to the server's own address"));
    }
    if is_api && walks(path) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            ProblemCode::InvalidId,
            "the path holds what no identifier may hold",
        ));
    }
    Ok(())
}

/// The path tries to walk: dots as a segment, or bytes that only an attack encodes.
fn walks(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    lower
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
        || [
            "%2e%2e", "%00", "%5c", "\\", "%2f..", "..%2f", "%252e", "%3f", "%23", "%0a", "%0d",
        ]
        .iter()
        .any(|trick| lower.contains(trick))
}

/// 16 hex digits.
fn new_request_id() -> String {
    let mut bytes = [0_u8; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => hex::encode(bytes),
        // Only the log gets harder to read.
        Err(_no_random_numbers) => "0".repeat(16),
    }
}
