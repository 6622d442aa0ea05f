//! This process: who it is, and what others may read of it.

/// The process runs as root.
pub fn is_root() -> bool {
    crate::capabilities::is_root()
}

/// Nobody but root may read this process's memory, and no core is dumped: it holds secrets.
pub fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "forbid core dumps");
    }
}

/// Processor time of all its threads since the start.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_time() -> Option<std::time::Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(std::time::Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

/// Not told here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_time() -> Option<std::time::Duration> {
    None
}
