//! What the command line says: answers, errors for people, errors and steps for programs.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use shim_protocol::TraceStep;

use crate::capabilities;
use crate::cli::arguments::Globals;
use crate::clock;
use crate::error::Error;
use crate::spec::Process;

/// Prints an answer; a reader that has gone away is no error.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}

/// Says why a command was not done: to standard error, and to `--log` as Docker and containerd read it.
pub(crate) fn error(globals: &Globals, error: &Error) {
    let text = error.to_line();
    // Callers that have no log look for this word.
    drop(writeln!(std::io::stderr().lock(), "error: {text}"));
    if let Some(path) = &globals.log {
        append(path, &line(globals, "error", &text));
    }
}

/// Says what went wrong without keeping the command from being done.
pub(crate) fn warning(globals: &Globals, error: &Error) {
    note(globals, "warning", &error.to_line());
}

/// Warns of capabilities that a process asks for and does not get.
pub(crate) fn capabilities(globals: &Globals, process: &Process) {
    let Some(wanted) = &process.capabilities else {
        return;
    };
    let unknown = capabilities::unknown(wanted);
    if !unknown.is_empty() {
        let text = format!(
            "ignoring unknown or unavailable capabilities: [{}]",
            unknown.join(" ")
        );
        note(globals, "warning", &text);
    }
    for name in capabilities::not_to_be_raised(wanted) {
        let text = format!(
            "can't raise ambient capability {name}: it is not both permitted and inheritable"
        );
        note(globals, "warning", &text);
    }
}

/// With `--debug`, says what was done.
pub(crate) fn debug(globals: &Globals, text: &str) {
    if globals.debug {
        note(globals, "debug", text);
    }
}

/// With `--debug`, says which steps a start took.
pub(crate) fn steps(globals: &Globals, steps: &[TraceStep]) {
    for step in steps {
        let microseconds = step.duration_ns / 1000;
        debug(
            globals,
            &format!("{}: {} ({microseconds} µs)", step.step, step.detail),
        );
    }
}

/// To the log alone; without one to standard error.
fn note(globals: &Globals, level: &str, text: &str) {
    let line = line(globals, level, text);
    match &globals.log {
        Some(path) => append(path, &line),
        None => drop(writeln!(std::io::stderr().lock(), "{line}")),
    }
}

fn append(path: &Path, line: &str) {
    // Without its log there is no other place to say that it is missing.
    if let Ok(mut log) = OpenOptions::new().append(true).create(true).open(path) {
        drop(writeln!(log, "{line}"));
    }
}

/// A line as logrus, which runc logs with, writes it.
fn line(globals: &Globals, level: &str, text: &str) -> String {
    let time = clock::rfc3339(clock::unix_ns());
    if globals.log_json {
        serde_json::json!({"level": level, "msg": text, "time": time}).to_string()
    } else {
        format!("time={time:?} level={level} msg={text:?}")
    }
}
