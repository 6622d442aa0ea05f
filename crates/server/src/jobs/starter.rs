//! The starter image for an engine that has none of that name: loaded from the archive that came with the program.

use std::path::Path;

use bollard::{Docker, errors::Error};
use tokio_util::io::ReaderStream;

use api::problem::ProblemCode;

use super::{Failure, JobHandle, transfer::load};

/// The starter image's name.
pub(crate) const STARTER: &str = "containeros/starter:latest";

/// Whether the engine lacks the starter image.
///
/// # Errors
/// The engine's own.
pub async fn needs_starter(docker: &Docker) -> Result<bool, Error> {
    match docker.inspect_image(STARTER).await {
        Ok(_) => Ok(false),
        Err(Error::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Loads the starter image; returns its id.
///
/// # Errors
/// The archive cannot be read, or the engine refuses it.
pub async fn load_starter(
    docker: Docker,
    archive: &Path,
    job: JobHandle,
) -> Result<Option<String>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(
            ProblemCode::Unavailable,
            format!("open {}: {error}", archive.display()),
        )
        .with_hint("build it with `make starter`, or name another with --starter")
    };
    let file = tokio::fs::File::open(archive).await.map_err(unreadable)?;
    load(&docker, ReaderStream::with_capacity(file, 256 * 1024), &job).await?;
    Ok(job
        .unless_cancelled(docker.inspect_image(STARTER))
        .await?
        .id)
}
