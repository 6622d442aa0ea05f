//! Answers of JSON objects, one a line, sent as they come.

use bytes::Bytes;
use serde::Serialize;

use crate::error::{EngineError, Result};

/// Returns an object as a line.
///
/// # Errors
/// `Internal` when it cannot be written as JSON.
pub(super) fn json_line(object: &impl Serialize) -> Result<Bytes> {
    let mut line =
        serde_json::to_vec(object).map_err(EngineError::io("write", "an answer's line"))?;
    line.push(b'\n');
    Ok(line.into())
}
