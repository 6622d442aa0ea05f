//! An engine on directories of its own, and images made on the spot.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bollard::Docker;
use engine::{Engine, EngineConfig};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A running engine; ends with the test.
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) docker: Docker,
    shutdown: CancellationToken,
    serving: JoinSet<()>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(dir: tempfile::TempDir) -> Self {
        let config = EngineConfig::new(
            dir.path().join("state"),
            dir.path().join("run"),
            PathBuf::from("/nonexistent/mini"),
        );
        let socket = config.socket_path();
        let engine = Engine::open(config).await.unwrap();
        let shutdown = CancellationToken::new();
        let mut serving = JoinSet::new();
        let token = shutdown.clone();
        serving.spawn(async move { Arc::clone(&engine).serve(token).await.unwrap() });
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while tokio::net::UnixStream::connect(&socket).await.is_err() {
            assert!(
                std::time::Instant::now() < deadline,
                "the engine does not answer"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let docker =
            Docker::connect_with_unix(socket.to_str().unwrap(), 30, bollard::API_DEFAULT_VERSION)
                .unwrap();
        Self {
            dir,
            docker,
            shutdown,
            serving,
        }
    }

    /// Ends the engine and opens another one on the same directories.
    pub(crate) async fn restart(mut self) -> Self {
        self.shutdown.cancel();
        while self.serving.join_next().await.is_some() {}
        Self::start_in(self.dir).await
    }

    /// Where the engine keeps its things.
    pub(crate) fn engine_dir(&self) -> PathBuf {
        self.dir.path().join("state/engine")
    }

    /// Names of what is in a directory of the engine, sorted.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.engine_dir().join(dir)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Loads an archive and returns the text of the answer.
    pub(crate) async fn load(&self, archive: Vec<u8>) -> Result<String, bollard::errors::Error> {
        let options = bollard::query_parameters::ImportImageOptions::default();
        let body = bollard::body_full(archive.into());
        let lines: Vec<_> = self
            .docker
            .import_image(options, body, None)
            .try_collect()
            .await?;
        Ok(lines.into_iter().filter_map(|line| line.stream).collect())
    }

    /// The names of all images.
    pub(crate) async fn tags(&self) -> Vec<String> {
        let options = bollard::query_parameters::ListImagesOptions {
            all: true,
            ..Default::default()
        };
        let images = self.docker.list_images(Some(options)).await.unwrap();
        let mut tags: Vec<String> = images
            .into_iter()
            .flat_map(|image| image.repo_tags)
            .collect();
        tags.sort();
        tags
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// An image of one layer.
pub(crate) struct TestImage {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: Vec<u8>,
}

impl TestImage {
    /// An image with a file whose content is `content`.
    pub(crate) fn new(content: &[u8]) -> Self {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, "file", content).unwrap();
        let layer = builder.into_inner().unwrap();
        let config = Self::config(&[&digest(&layer)]);
        Self { layer, config }
    }

    pub(crate) fn config(diff_ids: &[&str]) -> Vec<u8> {
        serde_json::to_vec(&json!({
            "architecture": "amd64", "os": "linux", "created": "2026-01-02T03:04:05Z",
            "config": { "Cmd": ["sh"], "Labels": { "made": "here" } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }))
        .unwrap()
    }

    pub(crate) fn id(&self) -> String {
        digest(&self.config)
    }

    /// The manifest, with the layer as it is.
    pub(crate) fn manifest(&self) -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.id(), "size": self.config.len() },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&self.layer), "size": self.layer.len() }],
        })
    }

    /// A Docker archive of this image, listing last what it has.
    pub(crate) fn archive(&self, tags: &[&str]) -> Vec<u8> {
        archive(&[
            ("layer.tar", self.layer.as_slice()),
            ("config.json", &self.config),
            (
                "manifest.json",
                &docker_manifest("config.json", tags, &["layer.tar"]),
            ),
        ])
    }
}

pub(crate) fn docker_manifest(config: &str, tags: &[&str], layers: &[&str]) -> Vec<u8> {
    serde_json::to_vec(&json!([{ "Config": config, "RepoTags": tags, "Layers": layers }])).unwrap()
}

pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}
