//! The source of everything: `/proc` and the cgroup file systems.

mod host;
mod inside;
mod proc;
mod sampler;

pub use host::host_figures;
pub use inside::inside;
pub use sampler::Sampler;

use crate::ObserveError;

/// Resident memory of a process, in bytes.
///
/// # Errors
/// [`ObserveError::Gone`] if it has ended.
///
/// Source: `/proc/PID/status`, `VmRSS`.
pub fn process_memory_bytes(pid: u32) -> Result<u64, ObserveError> {
    let status = proc::read(pid, "status").map_err(|error| proc::observe_error(pid, &error))?;
    Ok(proc::status_kib(&status, "VmRSS").unwrap_or_default() * 1024)
}

/// Milliseconds since the Unix epoch, and nanoseconds of the clock that never jumps.
fn now() -> (i64, u64) {
    let wall = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let steady = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(steady.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(steady.tv_nsec).unwrap_or_default();
    (
        i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        seconds * 1_000_000_000 + nanoseconds,
    )
}
