//! How much disk an engine uses. `GET /system/df` is asked in its long-standing form by a small client of our own: the Docker
//! client in use knows only the form of API 1.52 and later, and so no sizes of volumes on engines of today.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use api::engine::DiskUsage;
use bollard::ClientVersion;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use super::{CallError, Endpoint, Engine};

/// The newest API version that surely has the long-standing form.
const NEWEST: ClientVersion = ClientVersion {
    major_version: 1,
    minor_version: 44,
};
/// Largest answer that is read, in bytes.
const LARGEST: usize = 64 * 1024 * 1024;

/// The answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Usage {
    layers_size: Option<i64>,
    images: Option<Vec<Image>>,
    containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
    build_cache: Option<Vec<Cache>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    size: i64,
    shared_size: i64,
    containers: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    size_rw: i64,
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Volume {
    name: String,
    usage_data: Option<VolumeUsage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VolumeUsage {
    size: i64,
    ref_count: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Cache {
    size: i64,
    in_use: bool,
    shared: bool,
}

/// What an engine uses, and each volume's size.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) disk: DiskUsage,
    pub(crate) volumes: HashMap<String, u64>,
}

/// Sizes of volumes that were measured within this time are shown without measuring again.
const FRESH: Duration = Duration::from_mins(5);
/// How long a measurement may take that nobody waits for.
const IN_BACKGROUND: Duration = Duration::from_mins(5);

impl Engine {
    /// Somebody looks at the volumes: has them measured in the background when that was not done lately.
    pub(crate) fn show_volume_sizes(self: &Arc<Self>, tasks: &TaskTracker) {
        {
            let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
            if measured.is_some_and(|at| at.elapsed() < FRESH) || self.mirror.volumes().is_empty() {
                return;
            }
            *measured = Some(Instant::now());
        }
        let engine = Arc::clone(self);
        tasks.spawn(async move {
            if let Err(error) = engine.measure_disk(IN_BACKGROUND).await {
                tracing::debug!(engine = %engine.name, %error, "measure volumes");
            }
        });
    }

    /// Has the engine measure; it walks through all volumes, which may take long.
    pub(crate) async fn measure_disk(&self, limit: Duration) -> Result<Measured, CallError> {
        let version = self.docker()?.client_version();
        let newer = (version.major_version, version.minor_version)
            > (NEWEST.major_version, NEWEST.minor_version);
        let version = if newer { NEWEST } else { version };
        let endpoint = self
            .endpoint
            .as_ref()
            .ok_or_else(|| self.unusable("it has no address"))?;
        let path = format!("/v{version}/system/df");
        let bytes = match tokio::time::timeout(limit, get(endpoint, &path)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(reason)) => return Err(self.unusable(&reason)),
            Err(_elapsed) => {
                return Err(CallError::Timeout {
                    engine: self.name.clone(),
                    seconds: limit.as_secs(),
                });
            }
        };
        let usage: Usage = serde_json::from_slice(&bytes).map_err(|error| CallError::Garbled {
            engine: self.name.clone(),
            what: error.to_string(),
        })?;
        let measured = measured(usage);
        self.mirror.put_volume_sizes(&measured.volumes);
        Ok(measured)
    }

    fn unusable(&self, reason: &str) -> CallError {
        CallError::Unreachable {
            engine: self.name.clone(),
            reason: format!("measure its disk: {reason}"),
            hint: None,
        }
    }
}

fn measured(usage: Usage) -> Measured {
    let bytes = |size: i64| u64::try_from(size).unwrap_or_default();
    let images = usage.images.unwrap_or_default();
    let containers = usage.containers.unwrap_or_default();
    let caches = usage.build_cache.unwrap_or_default();
    let mut disk = DiskUsage {
        layers_bytes: bytes(usage.layers_size.unwrap_or_default()),
        containers_bytes: containers.iter().map(|one| bytes(one.size_rw)).sum(),
        volumes_bytes: 0,
        build_cache_bytes: caches
            .iter()
            .filter(|one| !one.shared)
            .map(|one| bytes(one.size))
            .sum(),
        reclaimable_bytes: 0,
    };
    let runs = |state: &str| matches!(state, "running" | "paused" | "restarting");
    // Of an image's layers only those go that no other image has.
    let unused = images.iter().filter(|image| image.containers == 0);
    disk.reclaimable_bytes += unused
        .map(|image| bytes(image.size).saturating_sub(bytes(image.shared_size)))
        .sum::<u64>();
    let stopped = containers.iter().filter(|one| !runs(&one.state));
    disk.reclaimable_bytes += stopped.map(|one| bytes(one.size_rw)).sum::<u64>();
    let idle = caches.iter().filter(|one| !one.in_use && !one.shared);
    disk.reclaimable_bytes += idle.map(|one| bytes(one.size)).sum::<u64>();
    let mut volumes = HashMap::new();
    for volume in usage.volumes.unwrap_or_default() {
        // -1: a driver that cannot tell.
        let Some((usage, size)) = volume
            .usage_data
            .and_then(|usage| Some((u64::try_from(usage.size).ok()?, usage)))
            .map(|(size, usage)| (usage, size))
        else {
            continue;
        };
        disk.volumes_bytes += size;
        if usage.ref_count == 0 {
            disk.reclaimable_bytes += size;
        }
        volumes.insert(volume.name, size);
    }
    Measured { disk, volumes }
}

/// Sends one request over a connection of its own.
async fn get(endpoint: &Endpoint, path: &str) -> Result<bytes::Bytes, String> {
    let rest = endpoint.url.split_once("://").map(|(_, rest)| rest);
    match endpoint.url.split_once("://").map(|(scheme, _)| scheme) {
        #[cfg(unix)]
        Some("unix") => {
            let path_of_socket = endpoint.connectable();
            let stream = tokio::net::UnixStream::connect(path_of_socket).await;
            ask(stream.map_err(|e| e.to_string())?, path).await
        }
        #[cfg(windows)]
        Some("npipe") => {
            let pipe = rest.unwrap_or_default().replace('/', "\\");
            let stream = tokio::net::windows::named_pipe::ClientOptions::new().open(pipe);
            ask(stream.map_err(|e| e.to_string())?, path).await
        }
        Some("tcp" | "http") if endpoint.certificates.is_none() => {
            let address = rest.unwrap_or_default().trim_end_matches('/');
            let stream = tokio::net::TcpStream::connect(address).await;
            ask(stream.map_err(|e| e.to_string())?, path).await
        }
        _ => Err("not possible over this kind of address".to_owned()),
    }
}

async fn ask<S>(stream: S, path: &str) -> Result<bytes::Bytes, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    let request = Request::get(path)
        .header(header::HOST, "engine")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|e| e.to_string())?;
    let answer = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|e| e.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let body = Limited::new(answer.into_body(), LARGEST);
        Ok(body.collect().await.map_err(|e| e.to_string())?.to_bytes())
    };
    let mut answer = std::pin::pin!(answer);
    // The connection is driven here. Its end may come before the last of the answer is read.
    tokio::select! {
        answer = answer.as_mut() => return answer,
        ended = connection => drop(ended),
    }
    answer.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_tells_is_added_up() {
        let usage = serde_json::json!({
            "LayersSize": 1000,
            "Images": [{ "Size": 600, "SharedSize": 100, "Containers": 0 }, { "Size": 500, "SharedSize": 100, "Containers": 2 }],
            "Containers": [{ "SizeRw": 7, "State": "running" }, { "SizeRw": 5, "State": "exited" }, { "State": "created" }],
            "Volumes": [
                { "Name": "used", "UsageData": { "Size": 40, "RefCount": 1 } },
                { "Name": "free", "UsageData": { "Size": 2, "RefCount": 0 } },
                { "Name": "unknown", "UsageData": { "Size": -1, "RefCount": -1 } },
            ],
            "BuildCache": null, "BuilderSize": 0,
        });
        let told = measured(serde_json::from_value(usage).unwrap());
        assert_eq!(
            told.disk,
            DiskUsage {
                layers_bytes: 1000,
                containers_bytes: 12,
                volumes_bytes: 42,
                build_cache_bytes: 0,
                reclaimable_bytes: 507,
            }
        );
        assert_eq!(
            told.volumes,
            HashMap::from([("used".to_owned(), 40), ("free".to_owned(), 2)])
        );
    }
}
