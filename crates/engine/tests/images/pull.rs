use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bollard::{auth::DockerCredentials, query_parameters::CreateImageOptions};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::fixture::{Fixture, TestImage, digest};

/// A registry that misbehaves as told.
#[derive(Default)]
struct Registry {
    manifests: HashMap<String, Vec<u8>>,
    blobs: HashMap<String, Vec<u8>>,
    /// So many answers to a request for a blob are cut after half of what is left.
    cuts: AtomicUsize,
    /// Never ends the answer for a blob.
    stall: bool,
    /// Wants a token, which wants this user and password.
    login: Option<(String, String)>,
    ranges: Mutex<Vec<String>>,
    host: Mutex<String>,
}

impl Registry {
    fn with(image: &TestImage, tag: &str) -> Self {
        let mut registry = Self::default();
        registry.add(image, tag);
        registry
    }

    fn add(&mut self, image: &TestImage, tag: &str) {
        let manifest = serde_json::to_vec(&image.manifest()).unwrap();
        self.blobs.insert(digest(&image.layer), image.layer.clone());
        self.blobs.insert(image.id(), image.config.clone());
        self.manifests.insert(digest(&manifest), manifest.clone());
        self.manifests.insert(tag.to_owned(), manifest);
    }

    /// Serves on a free port and returns the host.
    async fn serve(self, tasks: &mut JoinSet<()>) -> (Arc<Self>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        self.host.lock().unwrap().clone_from(&host);
        let registry = Arc::new(self);
        let router = Router::new()
            .route("/v2/{*path}", get(answer))
            .route("/token", get(token))
            .with_state(Arc::clone(&registry));
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        (registry, host)
    }
}

async fn token(
    State(registry): State<Arc<Registry>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    use base64::Engine as _;
    let (user, password) = registry.login.clone().unwrap();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let sent = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned());
    if sent != Some(format!("Basic {basic}")) || query["scope"] != "repository:team/app:pull" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    axum::Json(json!({ "token": "open sesame" })).into_response()
}

async fn answer(
    State(registry): State<Arc<Registry>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    if registry.login.is_some()
        && headers
            .get(header::AUTHORIZATION)
            .is_none_or(|value| value != "Bearer open sesame")
    {
        let host = registry.host.lock().unwrap().clone();
        let challenge = format!(
            "Bearer realm=\"http://{host}/token\",service=\"test\",scope=\"repository:team/app:pull\""
        );
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, challenge)],
        )
            .into_response();
    }
    if let Some(tag) = path.strip_prefix("team/app/manifests/") {
        return match registry.manifests.get(tag) {
            Some(bytes) => bytes.clone().into_response(),
            None => not_found("MANIFEST_UNKNOWN"),
        };
    }
    let Some(bytes) = path
        .strip_prefix("team/app/blobs/")
        .and_then(|digest| registry.blobs.get(digest))
    else {
        return not_found("NAME_UNKNOWN");
    };
    let range = headers
        .get(header::RANGE)
        .map(|value| value.to_str().unwrap().to_owned());
    let offset: usize = range.as_deref().map_or(0, |range| {
        range["bytes=".len()..]
            .trim_end_matches('-')
            .parse()
            .unwrap()
    });
    registry.ranges.lock().unwrap().extend(range);
    let rest = bytes[offset..].to_vec();
    let status = if offset > 0 {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let cut = rest.len() > 10_000
        && registry
            .cuts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok();
    if registry.stall && rest.len() > 10_000 {
        let head = bytes::Bytes::from(rest[..1000].to_vec());
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(head)]);
        let body = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        return Body::from_stream(body).into_response();
    }
    if cut {
        let half = bytes::Bytes::from(rest[..rest.len() / 2].to_vec());
        let parts = [Ok(half), Err(std::io::Error::other("cut"))];
        return (status, Body::from_stream(futures_util::stream::iter(parts))).into_response();
    }
    (status, rest).into_response()
}

fn not_found(code: &str) -> Response {
    let body =
        json!({ "errors": [{ "code": code, "message": code.to_lowercase().replace('_', " ") }] });
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

fn from(host: &str, tag: &str) -> CreateImageOptions {
    CreateImageOptions {
        from_image: Some(format!("{host}/team/app")),
        tag: Some(tag.to_owned()),
        ..Default::default()
    }
}

async fn pull(
    fixture: &Fixture,
    options: CreateImageOptions,
) -> Result<Vec<String>, bollard::errors::Error> {
    let lines: Vec<_> = fixture
        .docker
        .create_image(Some(options), None, None)
        .try_collect()
        .await?;
    Ok(lines.into_iter().filter_map(|line| line.status).collect())
}

fn large() -> TestImage {
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    TestImage::new(&content)
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_pull_survives_broken_connections() {
    let (fixture, mut tasks) = (Fixture::start().await, JoinSet::new());
    let image = large();
    let registry = Registry::with(&image, "1");
    registry.cuts.store(2, Ordering::SeqCst);
    let (registry, host) = registry.serve(&mut tasks).await;
    let lines = pull(&fixture, from(&host, "1")).await.unwrap();
    assert_eq!(lines[0], "Pulling from team/app");
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("Status: Downloaded newer image for"),
        "{lines:?}"
    );
    let ranges = registry.ranges.lock().unwrap().clone();
    assert_eq!(ranges.len(), 2, "resumed, not begun again: {ranges:?}");
    let inspected = fixture
        .docker
        .inspect_image(&format!("{host}/team/app:1"))
        .await
        .unwrap();
    assert_eq!(inspected.id.unwrap(), image.id());
    let manifest = serde_json::to_vec(&image.manifest()).unwrap();
    assert_eq!(
        inspected.repo_digests.unwrap(),
        [format!("{host}/team/app@{}", digest(&manifest))]
    );
    let lines = pull(&fixture, from(&host, "1")).await.unwrap();
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("Status: Image is up to date"),
        "{lines:?}"
    );
    // By digest, from what is here.
    let by_digest = format!("{host}/team/app@{}", digest(&manifest));
    assert_eq!(
        fixture
            .docker
            .inspect_image(&by_digest)
            .await
            .unwrap()
            .id
            .unwrap(),
        image.id()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_what_a_registry_does_not_have_is_a_404() {
    let (fixture, mut tasks) = (Fixture::start().await, JoinSet::new());
    let (_registry, host) = Registry::default().serve(&mut tasks).await;
    for (name, expected) in [
        ("team/app", "manifest unknown"),
        ("other", "pull access denied"),
    ] {
        let options = CreateImageOptions {
            from_image: Some(format!("{host}/{name}")),
            tag: Some("1".into()),
            ..Default::default()
        };
        match pull(&fixture, options).await.unwrap_err() {
            bollard::errors::Error::DockerResponseServerError {
                status_code,
                message,
            } => {
                assert_eq!(status_code, 404, "{message}");
                assert!(message.contains(expected), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_registry_that_lies_leaves_nothing_visible() {
    let image = large();
    let other = TestImage::new(b"other");
    type Lie = fn(&mut Registry, &TestImage, &TestImage);
    let lies: [(Lie, &str); 4] = [
        // The bytes of a layer are others than its digest says.
        (
            |registry, image, _| {
                registry.blobs.get_mut(&digest(&image.layer)).unwrap()[700] ^= 1;
            },
            "verification failed",
        ),
        // It is longer than the manifest says.
        (
            |registry, image, _| {
                registry
                    .blobs
                    .get_mut(&digest(&image.layer))
                    .unwrap()
                    .push(0);
            },
            "is longer than",
        ),
        // It is shorter, and stays so.
        (
            |registry, image, _| {
                registry
                    .blobs
                    .get_mut(&digest(&image.layer))
                    .unwrap()
                    .truncate(20_000);
            },
            "cut short",
        ),
        // The layer is intact, but not the one the configuration speaks of.
        (
            |registry, image, other| {
                let mut manifest = image.manifest();
                manifest["layers"] = other.manifest()["layers"].clone();
                registry
                    .manifests
                    .insert("1".into(), serde_json::to_vec(&manifest).unwrap());
            },
            "does not match its diff id",
        ),
    ];
    for (lie, expected) in lies {
        let (fixture, mut tasks) = (Fixture::start().await, JoinSet::new());
        let mut registry = Registry::with(&other, "other");
        registry.add(&image, "1");
        lie(&mut registry, &image, &other);
        let (_registry, host) = registry.serve(&mut tasks).await;
        let error = pull(&fixture, from(&host, "1"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "want {expected}: {error}");
        for dir in ["images", "references", "layers", "blobs/ingest"] {
            assert!(fixture.names(dir).is_empty(), "{expected}: {dir}");
        }
        // What is not part of an image goes with the next start.
        let fixture = fixture.restart().await;
        assert!(fixture.names("blobs/sha256").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_pull_that_is_broken_off_leaves_nothing_visible() {
    let (fixture, mut tasks) = (Fixture::start().await, JoinSet::new());
    let mut registry = Registry::with(&large(), "1");
    registry.stall = true;
    let (_registry, host) = registry.serve(&mut tasks).await;
    let mut lines = fixture
        .docker
        .create_image(Some(from(&host, "1")), None, None);
    while let Some(line) = lines.try_next().await.unwrap() {
        if line.status.as_deref() == Some("Pulling fs layer") {
            break;
        }
    }
    drop(lines);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !fixture.names("blobs/ingest").is_empty() {
        assert!(std::time::Instant::now() < deadline, "the download goes on");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for dir in ["images", "references", "layers"] {
        assert!(fixture.names(dir).is_empty(), "{dir}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_the_platform_is_chosen_from_an_index() {
    let (fixture, mut tasks) = (Fixture::start().await, JoinSet::new());
    let (host_image, arm_image) = (TestImage::new(b"host"), TestImage::new(b"arm"));
    let mut registry = Registry::with(&host_image, "host");
    registry.add(&arm_image, "arm");
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let entry = |image: &TestImage, arch: &str| {
        let manifest = serde_json::to_vec(&image.manifest()).unwrap();
        json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(&manifest), "size": manifest.len(),
            "platform": { "os": "linux", "architecture": arch } })
    };
    let index: Value = json!({ "schemaVersion": 2, "manifests": [entry(&arm_image, "riscv64"), entry(&host_image, arch)] });
    registry
        .manifests
        .insert("multi".into(), serde_json::to_vec(&index).unwrap());
    let (_registry, host) = registry.serve(&mut tasks).await;
    pull(&fixture, from(&host, "multi")).await.unwrap();
    let name = format!("{host}/team/app:multi");
    assert_eq!(
        fixture
            .docker
            .inspect_image(&name)
            .await
            .unwrap()
            .id
            .unwrap(),
        host_image.id()
    );
    let with_platform = |platform: &str| CreateImageOptions {
        platform: platform.to_owned(),
        ..from(&host, "multi")
    };
    pull(&fixture, with_platform("linux/riscv64"))
        .await
        .unwrap();
    assert_eq!(
        fixture
            .docker
            .inspect_image(&name)
            .await
            .unwrap()
            .id
            .unwrap(),
        arm_image.id()
    );
    let error = pull(&fixture, with_platform("linux/s390x"))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no matching manifest for linux/s390x"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_a_token_is_fetched_with_the_callers_credentials() {
    let (fixture, mut tasks) = (Fixture::start().await, JoinSet::new());
    let mut registry = Registry::with(&TestImage::new(b"private"), "1");
    registry.login = Some(("me".into(), "secret".into()));
    let (_registry, host) = registry.serve(&mut tasks).await;
    let error = pull(&fixture, from(&host, "1"))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("pull access denied"), "{error}");
    let credentials = DockerCredentials {
        username: Some("me".into()),
        password: Some("secret".into()),
        ..Default::default()
    };
    let lines = fixture
        .docker
        .create_image(Some(from(&host, "1")), None, Some(credentials));
    lines.try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(fixture.tags().await, [format!("{host}/team/app:1")]);
}
