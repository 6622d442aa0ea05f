//! The Mini engine: the Docker Engine API over our own runtime.
//!
//! [`Engine::open`] brings back what an earlier process left (containers go on running without us), [`Engine::serve`]
//! answers the API on `RUN/mini.sock`. The engine runs `mini` as a program and shares only [`shim_protocol`] with it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`config`] | where things are kept |
//! | `engine` | the parts put together, opening and serving |
//! | `api` | the HTTP side: routes, versions, hijacked connections; thin |
//! | `container` | containers: records, life cycle, logs, exec, health, restart |
//! | `image`, `layer` | images, the blob store, registries; layers and root file systems |
//! | `network`, `volume` | networks, addresses, DNS, published ports; volumes |
//! | `system`, `host` | the engine as a whole; its machine |
//! | [`error`], `events`, `filters`, `store`, `transfer` | what all of them use |

mod api;
mod blocking;
mod build;
pub mod config;
mod container;
mod engine;
pub mod error;
mod events;
mod filters;
mod host;
mod id;
mod image;
mod layer;
mod network;
mod programs;
mod store;
mod system;
mod time;
mod transfer;
mod volume;

pub use config::EngineConfig;
pub use engine::{Engine, OpenError};
pub use error::EngineError;
