//! What the kernel says about a container: figures, processes, namespaces, mounts, capabilities, seccomp.
//!
//! A container is known here by the process id of its first process, so it does not matter which engine runs it. The types
//! are portable and can be serialised; what fills them is Linux ([`Sampler`], [`host_figures`], [`inside()`]) and answers
//! [`ObserveError::Unsupported`] elsewhere.
//!
//! - [`figures`]: what a container and the machine use, as counters and gauges;
//! - [`inside`](mod@inside): what a container is made of, each fact with the file it was read from and a command that shows it.

mod error;
pub mod figures;
pub mod inside;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod unsupported;

pub use error::ObserveError;
pub use figures::{Figures, HostFigures};
pub use inside::Inside;
#[cfg(target_os = "linux")]
pub use linux::{Sampler, host_figures, inside, process_memory_bytes};
#[cfg(not(target_os = "linux"))]
pub use unsupported::{Sampler, host_figures, inside, process_memory_bytes};
