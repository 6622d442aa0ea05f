//! `ps`: the processes of a container, as the host sees them.

use std::process::Command;

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::report;
use crate::error::{Error, Result};
use crate::state::Store;

/// Where ps(1) is. Not by `PATH`: this runs as root.
const PROGRAMS: [&str; 2] = ["/usr/bin/ps", "/bin/ps"];

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut as_json = false;
    let options =
        arguments.flags_then_command(|flag, arguments| match flag {
            "--format" => match arguments.text()?.as_str() {
                "json" => {
                    as_json = true;
                    Ok(())
                }
                "table" => Ok(()),
                _ => Err(Error::invalid("invalid format option")
                    .with_hint("the formats are table and json")),
            },
            _ => Err(Arguments::unknown(flag)),
        })?;
    let state = Store::of(&globals.root, &arguments.id()?)?.read()?;
    // A container that has ended may have no cgroup any more.
    let pids = match state.cgroup() {
        Ok(_) => state.processes()?,
        Err(_) => Vec::new(),
    };
    if as_json {
        let json = serde_json::to_string(&pids)
            .map_err(|error| Error::invalid(format!("encode the list: {error}")))?;
        report::say(&json);
        return Ok(0);
    }
    for line in table(&options, &pids)? {
        report::say(&line);
    }
    Ok(0)
}

/// What ps(1) says of all processes, as far as it is about these; `-ef` unless there are options.
fn table(options: &[String], pids: &[u32]) -> Result<Vec<String>> {
    let program = PROGRAMS
        .iter()
        .find(|path| std::path::Path::new(path).exists())
        .ok_or_else(|| {
            Error::unsupported("ps(1) is not installed")
                .with_hint("install procps, or use --format json")
        })?;
    let mut command = Command::new(program);
    command.env_clear();
    if options.is_empty() {
        command.arg("-ef");
    }
    let output = command
        .args(options)
        .output()
        .map_err(|error| Error::sys("execute", program, error))?;
    if !output.status.success() {
        return Err(Error::invalid(format!(
            "{program}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )));
    }
    // What a program calls itself must not steer the reader's terminal.
    let text: String = String::from_utf8_lossy(&output.stdout)
        .chars()
        .map(|letter| {
            if letter.is_control() && letter != '\n' {
                '?'
            } else {
                letter
            }
        })
        .collect();
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default();
    let column = title
        .split_ascii_whitespace()
        .position(|name| name == "PID")
        .ok_or_else(|| {
            Error::invalid("couldn't find PID field in ps output")
                .with_hint("ps must show a column PID: leave -o out, or name pid in it")
        })?;
    let ours = |line: &&str| {
        line.split_ascii_whitespace()
            .nth(column)
            .and_then(|pid| pid.parse().ok())
            .is_some_and(|pid: u32| pids.contains(&pid))
    };
    Ok(std::iter::once(title)
        .chain(lines.filter(ours))
        .map(str::to_owned)
        .collect())
}
