//! Copy an image from one engine to the other: saved by one, loaded by the other, streamed in between.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bollard::{Docker, errors::Error, query_parameters::ImportImageOptions};
use futures_util::{Stream, StreamExt};

use api::problem::ProblemCode;

use super::{Failure, JobHandle};

/// Copies `image` from one engine to another.
///
/// # Errors
/// The words of the engine that refused.
pub async fn transfer(
    from: &Docker,
    to: &Docker,
    image: &str,
    job: &JobHandle,
) -> Result<(), Failure> {
    let size = job.unless_cancelled(from.inspect_image(image)).await?.size;
    let size = size.and_then(|size| u64::try_from(size).ok());
    let sent = Arc::new(AtomicU64::new(0));
    // Boxed: the stream must own its client to be sent as a body.
    let from = from.clone();
    let name = image.to_owned();
    let (pipe, archive) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, Error>>(8);
    let read = async {
        let mut stream = std::pin::pin!(from.export_image(&name));
        while let Some(piece) = stream.next().await {
            let broken = piece.is_err();
            if let Ok(bytes) = &piece {
                let total =
                    sent.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
                job.step(
                    "copy",
                    &format!("Copies {name}"),
                    Some(total),
                    size.map(|size| size.max(total)),
                );
            }
            if pipe.send(piece).await.is_err() || broken {
                break;
            }
        }
        drop(pipe);
    };
    let archive = tokio_stream::wrappers::ReceiverStream::new(archive);
    let write = load(to, archive, job);
    // The reader ends by itself, but what counts is that the other engine has taken all of it, or refused.
    let read = async {
        read.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        loaded = write => loaded,
        () = read => Ok(()),
    }
}

/// Loads an image archive into an engine.
///
/// # Errors
/// The engine's words.
pub(crate) async fn load<S, E>(docker: &Docker, archive: S, job: &JobHandle) -> Result<(), Failure>
where
    S: Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let mut lines =
        std::pin::pin!(docker.import_image_stream(ImportImageOptions::default(), archive, None));
    loop {
        let next = tokio::select! {
            () = job.cancelled() => return Err(Failure::Cancelled),
            next = lines.next() => next,
        };
        let Some(line) = next else { return Ok(()) };
        let line = line?;
        if let Some(error) = line.error_detail {
            let message = error
                .message
                .unwrap_or_else(|| "load the image: the engine gave no reason".to_owned());
            return Err(Failure::new(ProblemCode::EngineRefused, message));
        }
        if let Some(text) = line.stream.or(line.status) {
            job.message(text.trim());
        }
    }
}

/// Makes sure that `docker` has the image: it is copied from one of `others` that has it. Returns its id.
///
/// # Errors
/// [`Failure`] with [`ProblemCode::NotFound`] when no engine has it.
pub async fn ensure_image(
    docker: &Docker,
    others: &[Docker],
    image: &str,
    job: &JobHandle,
) -> Result<String, Failure> {
    if let Ok(found) = job.unless_cancelled(docker.inspect_image(image)).await {
        return Ok(found.id.unwrap_or_default());
    }
    for other in others {
        if job
            .unless_cancelled(other.inspect_image(image))
            .await
            .is_ok()
        {
            transfer(other, docker, image, job).await?;
            return Ok(job
                .unless_cancelled(docker.inspect_image(image))
                .await?
                .id
                .unwrap_or_default());
        }
    }
    job.check()?;
    Err(Failure::new(
        ProblemCode::NotFound,
        format!("find image {image}: no engine has it"),
    )
    .with_hint("pull it on one of them first"))
}
