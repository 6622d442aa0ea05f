//! Pull an image, with a row per layer.

use api::id::EngineName;
use bollard::{Docker, models::CreateImageInfo, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt;

use super::{Failure, JobHandle};

/// What to pull, and where to.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// The engine's client.
    pub docker: Docker,
    /// Its name.
    pub engine: EngineName,
    /// Reference with tag or digest; without either, `latest`.
    pub image: String,
    /// Such as `linux/arm64`; the engine's own when absent.
    pub platform: Option<String>,
}

/// Pulls; returns the image's id.
///
/// # Errors
/// The engine's words, or cancelled: dropping the request makes the engine stop.
pub async fn pull(request: PullRequest, job: JobHandle) -> Result<Option<String>, Failure> {
    let reference = with_tag(&request.image);
    let options = CreateImageOptionsBuilder::new().from_image(&reference);
    let options = match &request.platform {
        Some(platform) => options.platform(platform),
        None => options,
    }
    .build();
    let mut stream = std::pin::pin!(request.docker.create_image(Some(options), None, None));
    let mut layers = Layers::default();
    loop {
        let next = tokio::select! {
            () = job.cancelled() => return Err(Failure::Cancelled),
            next = stream.next() => next,
        };
        let Some(line) = next else { break };
        layers.take(&line?, &job)?;
    }
    let found = job
        .unless_cancelled(request.docker.inspect_image(&reference))
        .await?;
    Ok(found.id)
}

/// Docker pulls *all* tags of a repository when none is named.
fn with_tag(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') || name.contains('@') || image.starts_with("sha256:") {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

/// Sums over the layers seen so far. Layers of unknown size make the percentage unknown, not wrong.
#[derive(Debug, Default)]
struct Layers {
    sizes: std::collections::BTreeMap<String, (u64, u64)>,
}

impl Layers {
    fn take(&mut self, line: &CreateImageInfo, job: &JobHandle) -> Result<(), Failure> {
        if let Some(error) = &line.error_detail {
            let message = error
                .message
                .clone()
                .unwrap_or_else(|| "pull: the engine gave no reason".to_owned());
            return Err(bollard::errors::Error::DockerStreamError { error: message }.into());
        }
        let status = line.status.as_deref().unwrap_or_default();
        // `Pulling from library/busybox` comes with the tag as id: it is no layer.
        let Some(id) = line
            .id
            .as_deref()
            .filter(|_| !status.starts_with("Pulling from"))
        else {
            job.message(status);
            return Ok(());
        };
        let detail = line.progress_detail.as_ref();
        let number = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        let (current, total) = (
            number(detail.and_then(|d| d.current)),
            number(detail.and_then(|d| d.total)),
        );
        if status == "Downloading"
            && let (Some(current), Some(total)) = (current, total)
        {
            self.sizes
                .insert(id.to_owned(), (current.min(total), total));
        }
        if matches!(status, "Download complete" | "Pull complete" | "Extracting")
            && let Some(size) = self.sizes.get_mut(id)
        {
            size.0 = size.1;
        }
        job.step(id, status, current, total);
        if !self.sizes.is_empty() {
            let (done, all) = self
                .sizes
                .values()
                .fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
            job.percent(done as f64 * 95.0 / all as f64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::with_tag;

    #[test]
    fn a_reference_without_tag_means_latest() {
        assert_eq!(with_tag("busybox"), "busybox:latest");
        assert_eq!(with_tag("host:5000/a/b"), "host:5000/a/b:latest");
        assert_eq!(with_tag("host:5000/a/b:1"), "host:5000/a/b:1");
        assert_eq!(with_tag("a@sha256:00"), "a@sha256:00");
    }
}
