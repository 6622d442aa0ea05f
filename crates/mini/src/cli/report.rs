//! What the command line says: answers, errors for people, errors for programs.

use std::fs::OpenOptions;
use std::io::Write as _;

use crate::cli::arguments::Globals;
use crate::clock;
use crate::error::Error;

/// Prints an answer; a reader that has gone away is no error.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Says why a command was not done: to standard error, and to `--log` as Docker and containerd read it.
pub(crate) fn error(globals: &Globals, error: &Error) {
    let line = error.to_string_with_hint();
    drop(writeln!(std::io::stderr().lock(), "{line}"));
    let Some(path) = &globals.log else { return };
    let Ok(mut log) = OpenOptions::new().append(true).create(true).open(path) else {
        return;
    };
    let time = clock::rfc3339(clock::unix_ns());
    let line = if globals.log_json {
        serde_json::json!({"level": "error", "msg": line, "time": time}).to_string()
    } else {
        format!("time={time:?} level=error msg={line:?}")
    };
    drop(writeln!(log, "{line}"));
}
