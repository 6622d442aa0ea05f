//! Health checks.

/// How healthy a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthState {
    /// `starting`, `healthy` or `unhealthy`.
    pub(crate) status: &'static str,
    /// How many checks in a row did not succeed.
    pub(crate) failing_streak: u32,
    /// The last five checks, the oldest first.
    pub(crate) log: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Nanoseconds since the Unix epoch.
    pub(crate) start_ns: i64,
    /// Nanoseconds since the Unix epoch.
    pub(crate) end_ns: i64,
    /// Status of the program; -1 when it took too long or did not run.
    pub(crate) exit_code: i32,
    /// What it said, at most 4096 bytes.
    pub(crate) output: String,
}
