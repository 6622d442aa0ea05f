//! One test body for both engines, so that a difference shows.
//!
//! [`on_both!`] makes two tests of one function: the same requests go to dockerd and to Mini over their sockets, and the
//! same answers are expected. A test knows nothing but the endpoint. `tests/run` starts both and names them in
//! `CONTAINEROS_TEST_DOCKER` and `CONTAINEROS_TEST_MINI`; without them the tests fail and say so, they do not skip.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "the whole crate is test support: a broken expectation is a failed test"
)]

mod client;
mod container;
mod engine;

pub use client::{Answer, Hijacked, Lines, streams};
pub use container::Container;
pub use engine::{Engine, IMAGE, deadline, query, until};

/// Makes the tests `NAME::docker` and `NAME::mini` of each `async fn NAME(engine: &Engine)`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($engine:ident: &Engine) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn body($engine: &Engine) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn docker() {
                $crate::Engine::docker(stringify!($name)).run(|engine| Box::pin(async move { body(&engine).await })).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn mini() {
                $crate::Engine::mini(stringify!($name)).run(|engine| Box::pin(async move { body(&engine).await })).await;
            }
        }
    )+};
}
