//! `mini` on the real kernel: every test makes containers and checks that nothing of them is left.
//!
//! Needs root and a static busybox; without either a test says so and is skipped. The tests know no cgroup version: run
//! this program on a machine with v1, with both and with v2.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]
#![cfg(target_os = "linux")]

mod attributes;
mod bundle;
mod cgroup_events;
mod cgroup_rules;
mod cgroup_systemd;
mod cgroup_update;
mod clocks;
mod cves;
mod devices;
mod failures;
mod faults;
mod isolation;
mod lifecycle;
mod limits;
mod masks;
mod mounts;
mod net_devices;
mod process;
mod refusals;
mod rootless;
mod seccomp;
mod shim_attach;
mod shim_client;
mod shim_exec;
mod shim_life;
mod shim_log;
mod shim_versions;
mod terminal;
mod trace;
mod user_namespace;
