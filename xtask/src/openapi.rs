//! Writes `docs/openapi.json` from the table of routes.

use std::path::Path;

use anyhow::Context as _;

/// Writes the document below the workspace's root.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let path = root.join("docs/openapi.json");
    let json = api::openapi::document_json().context("make the OpenAPI document")?;
    std::fs::create_dir_all(root.join("docs")).context("make docs")?;
    std::fs::write(&path, json).with_context(|| format!("write {}", path.display()))
}
