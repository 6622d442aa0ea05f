//! Attaching to a container's input and output, also before it runs.

use std::{os::unix::net::UnixStream as StdUnixStream, sync::Arc};

use shim_protocol::AttachStreams;
use tokio::net::UnixStream;

use super::handle::{Container, EarlyClient};
use crate::{
    engine::Engine,
    error::{EngineError, Result},
    events::EventKind,
};

/// How many clients may wait for one container to start.
const MAX_EARLY_CLIENTS: usize = 64;

/// Returns a stream of a container's input and output, with the bytes that came already. When it does not run, it is
/// the stream of its next run, from the first byte.
///
/// # Errors
/// `Conflict` when it is paused or between two runs.
pub(crate) async fn attach(
    engine: &Engine,
    container: &Arc<Container>,
    streams: AttachStreams,
) -> Result<(UnixStream, Vec<u8>)> {
    let conflict =
        |what: &str| EngineError::Conflict(format!("Container {} is {what}", container.id()));
    if container.is_restarting() {
        return Err(conflict("restarting, wait until the container is running"));
    }
    let attached = match container.running() {
        Some(running) if running.paused => {
            return Err(conflict("paused, unpause the container before attach"));
        }
        Some(running) => running.shim.attach(streams).await?,
        None => (wait_for_start(container, streams)?, Vec::new()),
    };
    engine.events.publish(
        EventKind::Container,
        "attach",
        container.id(),
        container.event_attributes(),
    );
    Ok(attached)
}

fn wait_for_start(container: &Container, streams: AttachStreams) -> Result<UnixStream> {
    let failed = || EngineError::io::<std::io::Error>("attach to", container.id().to_owned());
    let (ours, theirs) = StdUnixStream::pair().map_err(failed())?;
    ours.set_nonblocking(true).map_err(failed())?;
    let ours = UnixStream::from_std(ours).map_err(failed())?;
    let mut inner = container.lock();
    inner.early.retain(|client| !is_gone(&client.socket));
    if inner.early.len() >= MAX_EARLY_CLIENTS {
        return Err(EngineError::Conflict(format!(
            "{MAX_EARLY_CLIENTS} clients wait for container {} already",
            container.id()
        )));
    }
    inner.early.push(EarlyClient {
        socket: theirs,
        streams,
    });
    Ok(ours)
}

/// Whether the client of a waiting connection has closed it.
fn is_gone(socket: &StdUnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut fds, Some(&Timespec::default())).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}
