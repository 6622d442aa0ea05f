//! Images.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{EngineName, ImageId};

/// An image in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageSummary {
    /// The engine that has it.
    pub engine: EngineName,
    /// `sha256:…`
    pub id: String,
    /// Such as `busybox:latest`; empty for a dangling one.
    pub tags: Vec<String>,
    /// Such as `busybox@sha256:…`
    pub digests: Vec<String>,
    /// When it was built.
    pub created_at: Option<Timestamp>,
    /// Unpacked, in bytes.
    pub size_bytes: u64,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Names of the containers that use it.
    pub used_by: Vec<String>,
}

/// An image in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageDetail {
    /// As in the list.
    pub summary: ImageSummary,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os: String,
    /// Program and arguments that run before the command.
    pub entrypoint: Vec<String>,
    /// Arguments, or the program, when none are given.
    pub command: Vec<String>,
    /// Environment, with secrets masked.
    pub env: Vec<crate::container::EnvEntry>,
    /// Directory it starts in.
    pub working_dir: String,
    /// User it runs as.
    pub user: String,
    /// Ports it names, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Directories that get a volume.
    pub volumes: Vec<String>,
    /// Steps that made it, newest first.
    pub history: Vec<ImageStep>,
    /// Digests of its unpacked layers, base first.
    pub layers: Vec<String>,
}

/// One step that made an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageStep {
    /// What was done.
    pub created_by: String,
    /// When.
    pub created_at: Option<Timestamp>,
    /// What it added, in bytes.
    pub size_bytes: u64,
    /// A comment.
    pub comment: String,
    /// Tags of the image that ends with this step.
    pub tags: Vec<String>,
}

/// Pulls an image; the answer is a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// What to pull, such as `busybox:1.36`.
    pub reference: ImageId,
    /// Such as `linux/arm64`; the engine's own when absent.
    pub platform: Option<String>,
}

/// Asks what removing images would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePreviewRequest {
    /// These images or tags; every unused dangling one when `prune` is set.
    #[serde(default)]
    pub images: Vec<ImageId>,
    /// What pruning would remove instead.
    #[serde(default)]
    pub prune: Option<ImagePrune>,
    /// Also those with several tags or used by stopped containers.
    #[serde(default)]
    pub force: bool,
}

/// Which images pruning takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImagePrune {
    /// Those without a tag that nobody uses.
    Dangling,
    /// Every image that no container uses.
    Unused,
}

/// Removes images that were previewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRemoveRequest {
    /// The preview's token.
    pub preview_token: String,
}

/// Name and password at a registry; used once and not kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryLogin {
    /// The registry's address; Docker Hub when absent.
    #[serde(default)]
    pub registry: Option<String>,
    /// The name there.
    pub name: String,
    /// The password or access token.
    pub password: String,
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the password.
        f.debug_struct("RegistryLogin")
            .field("registry", &self.registry)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Pushes an image to the registry that its name begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePushRequest {
    /// Who pushes it.
    #[serde(default)]
    pub login: Option<RegistryLogin>,
}

/// Gives an image another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageTagRequest {
    /// Such as `registry:5000/app:2`.
    pub reference: ImageId,
}

/// How an image is built from the archive in the body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildQuery {
    /// What it is called.
    #[serde(default)]
    pub tag: Option<ImageId>,
    /// The Dockerfile's path in the archive; `Dockerfile` when absent.
    #[serde(default)]
    pub dockerfile: Option<String>,
    /// Look for newer base images.
    #[serde(default)]
    pub pull: Option<bool>,
    /// Run every instruction again.
    #[serde(default)]
    pub no_cache: Option<bool>,
}

/// Builds an image from a Dockerfile alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildDockerfileRequest {
    /// The Dockerfile.
    pub dockerfile: String,
    /// What the image is called.
    #[serde(default)]
    pub tag: Option<ImageId>,
    /// Look for newer base images.
    #[serde(default)]
    pub pull: bool,
    /// Run every instruction again.
    #[serde(default)]
    pub no_cache: bool,
    /// Values of `ARG`.
    #[serde(default)]
    pub args: Vec<crate::container::EnvVar>,
}

/// Asks registries whether there are newer images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateCheckRequest {
    /// These; every tagged image that a container uses when empty.
    #[serde(default)]
    pub images: Vec<ImageId>,
    /// Who asks.
    #[serde(default)]
    pub login: Option<RegistryLogin>,
}

/// What a registry has under an image's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateCheck {
    /// The name.
    pub reference: String,
    /// Digests under which the image here came from registries.
    pub local_digests: Vec<String>,
    /// The digest that the registry has now.
    pub remote_digest: Option<String>,
    /// What that means.
    pub state: UpdateState,
    /// Why nobody knows.
    pub problem: Option<crate::problem::Problem>,
}

/// Whether there is a newer image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// The registry has the same.
    Current,
    /// The registry has another one.
    Newer,
    /// Built or loaded here; it came from no registry.
    Local,
    /// The registry could not be asked.
    Unknown,
}
