//! The web server: HTTP, sign-in, state mirror, sampler, live push, jobs.
//!
//! | module | holds |
//! | --- | --- |
//! | [`config`], [`server`] | what the server is told; the parts put together, opening and serving |
//! | `http` | listening, the root layer that no route escapes, the router, errors |
//! | `rest` | what each operation does; thin |
//! | [`auth`], [`audit`], [`db`], [`sealed`] | who may come in; what was done; what is kept; secrets among it |
//! | [`engines`], [`mirror`] | the engines and whether they answer; what they have |
//! | [`live`], [`logs`], [`metrics`] | the live socket and its sources |
//! | [`filesystem`] | files in containers and volumes |
//! | [`recreate`] | making containers anew, and putting back what they were |
//! | [`terminals`] | programs with a pseudo-terminal in containers |
//! | [`alerts`] | what is told without being asked |
//! | [`jobs`], [`compare`], [`inside`], [`background`] | long work; engines side by side; what a container is made of; what runs unasked |
//! | `assets`, `capabilities` | the page; what works here |

pub mod alerts;
mod assets;
pub mod audit;
pub mod auth;
pub mod background;
mod capabilities;
pub mod compare;
pub mod config;
pub mod db;
pub mod engines;
mod files;
pub mod filesystem;
mod http;
pub mod inside;
pub mod jobs;
pub mod live;
pub mod logs;
mod mask;
pub mod metrics;
pub mod mirror;
mod preview;
pub mod process;
pub mod recreate;
mod rest;
pub mod sealed;
pub mod server;
pub mod state;
pub mod terminals;

pub use config::ServerConfig;
pub use server::Server;
pub use state::AppState;
