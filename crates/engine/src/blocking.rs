//! Work that blocks, kept off the asynchronous threads.

use std::sync::LazyLock;

use tokio::sync::Semaphore;

use crate::error::{EngineError, Result};

/// How many blocking jobs run at once. Starts of containers spend their time in the kernel, not on a core, so this is
/// well above the number of cores; the rest waits in order.
const MAX_BLOCKING_JOBS: usize = 64;

/// How many transfers run at once. They go only as fast as their clients, so they have permits of their own: clients that
/// hardly read must not keep containers from starting.
const MAX_TRANSFERS: usize = 64;

static PERMITS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(MAX_BLOCKING_JOBS));
static TRANSFERS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(MAX_TRANSFERS));

/// Runs `job` on a thread where it may block.
///
/// # Errors
/// What the job returns, or `Internal` when it panicked.
pub(crate) async fn run<T, F>(job: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    run_with(&PERMITS, job).await
}

/// Runs `job`, which waits for a client again and again, on a thread where it may block.
///
/// # Errors
/// As [`run`].
pub(crate) async fn transfer<T, F>(job: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    run_with(&TRANSFERS, job).await
}

async fn run_with<T, F>(permits: &'static Semaphore, job: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    let permit = permits
        .acquire()
        .await
        .map_err(EngineError::io("schedule", "blocking job"))?;
    let joined = tokio::task::spawn_blocking(move || {
        let result = job();
        drop(permit);
        result
    })
    .await;
    joined.map_err(EngineError::io("run", "blocking job"))?
}
