//! Code generation and release chores: `cargo xtask openapi`, `cargo xtask starter`.

mod openapi;
mod starter;

use std::path::Path;

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("find the workspace")?;
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("openapi") => openapi::run(root),
        Some("starter") => starter::run(arguments),
        other => bail!("unknown task {other:?}: openapi, starter"),
    }
}
