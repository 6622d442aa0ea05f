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
