//! Lines on standard output and standard error.

use std::io::Write as _;

use crate::Problem;

/// Prints a line at once.
pub(crate) fn say(line: &str) -> Result<(), Problem> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(Problem::of("write to standard output"))
}

/// Prints a line to standard error; when that is closed there is nobody to tell.
pub(crate) fn warn(line: &str) {
    drop(writeln!(std::io::stderr(), "lab: {line}"));
}
