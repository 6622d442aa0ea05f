//! Long work of the server: it goes on when the page is closed, and every browser sees it.

mod failure;
mod handle;
#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
mod pull;
mod registry;
mod starter;
mod store;
mod transfer;

pub use failure::Failure;
pub use handle::JobHandle;
pub use pull::{PullRequest, pull};
pub(crate) use registry::Save;
pub use registry::{JobError, Jobs, NewJob};
pub(crate) use starter::STARTER;
pub use starter::{load_starter, needs_starter};
pub use store::{SCHEMA, load_jobs, save_job};
pub(crate) use transfer::load;
pub use transfer::{ensure_image, transfer};
