//! The page: built files inside the program, compressed when they were built.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `npm run build` left in `web/dist`; nothing when it was not run.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

const MISSING: &str = "<!doctype html><html lang=\"en\"><title>ContainerOS</title><h1>The page was not built</h1>\
     <p>Run <code>make build</code>, or <code>npm ci</code> and <code>npm run build</code> in <code>web/</code>. \
     The API is served under <code>/api/v1</code>.</p></html>";

/// Answers with a file, or with the page for every other path: it does its own routing.
pub(crate) fn serve(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let name = path.trim_start_matches('/');
    let is_file = matches!(name.rsplit_once('.'), Some((_, suffix)) if !matches!(suffix, "br" | "gz"))
        && !name.starts_with(".vite/");
    if is_file && Dist::get(name).is_some() {
        return file(name, headers);
    }
    // A missing script must not be answered with the page: an old tab would try to run it.
    if name.starts_with("assets/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    if Dist::get("index.html").is_some() {
        return file("index.html", headers);
    }
    let mut response = (StatusCode::OK, MISSING).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let accepts = |coding: &str| {
        accepted.split(',').any(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(coding))
                && parts.next().is_none_or(|q| q != "q=0")
        })
    };
    let compressed = [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .find_map(|(coding, suffix)| {
            if !accepts(coding) {
                return None;
            }
            Dist::get(&format!("{name}.{suffix}")).map(|file| (file, Some(coding)))
        });
    let Some((file, coding)) = compressed.or_else(|| Dist::get(name).map(|file| (file, None)))
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    answer(name, file, coding, headers)
}

fn answer(
    name: &str,
    file: EmbeddedFile,
    coding: Option<&'static str>,
    headers: &HeaderMap,
) -> Response {
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let unchanged = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| {
            tags.split(',')
                .any(|known| known.trim().trim_start_matches("W/") == tag)
        });
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(match file.data {
            std::borrow::Cow::Borrowed(bytes) => Body::from(bytes),
            std::borrow::Cow::Owned(bytes) => Body::from(bytes),
        })
    };
    let hashed = name.starts_with("assets/");
    let set = response.headers_mut();
    set.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(name)),
    );
    set.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(if hashed {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        }),
    );
    set.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        set.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        set.insert(header::ETAG, tag);
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
