//! `ps`: the processes of a container, as the host sees them.

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::report;
use crate::error::{Error, Result};
use crate::state::Store;

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut as_json = false;
    // Words behind the id are options for ps(1) in runc; the table here is always the same.
    arguments.flags_then_command(|flag, arguments| match flag {
        "--format" | "-f" => match arguments.text()?.as_str() {
            "json" => {
                as_json = true;
                Ok(())
            }
            "table" => Ok(()),
            other => Err(Error::invalid(format!("invalid format option {other:?}"))),
        },
        _ => Err(Arguments::unknown(flag)),
    })?;
    let id = arguments.id()?;
    let pids = Store::of(&globals.root, &id)?
        .read()?
        .cgroup()?
        .processes()?;
    if as_json {
        let json = serde_json::to_string(&pids)
            .map_err(|error| Error::invalid(format!("encode the list: {error}")))?;
        report::say(&json);
        return Ok(0);
    }
    report::say(&format!("{:<8} {:<8} {:<8} CMD", "UID", "PID", "PPID"));
    for pid in pids {
        // One that has ended meanwhile is left out.
        if let Some(line) = line_of(pid) {
            report::say(&line);
        }
    }
    Ok(0)
}

fn line_of(pid: u32) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next())
            .unwrap_or("?")
    };
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command)
        .trim_end_matches('\0')
        .replace('\0', " ");
    let shown = if command.is_empty() {
        format!("[{}]", field("Name:"))
    } else {
        // What the program calls itself must not steer the reader's terminal.
        command
            .chars()
            .map(|letter| if letter.is_control() { '?' } else { letter })
            .collect()
    };
    Some(format!(
        "{:<8} {pid:<8} {:<8} {shown}",
        field("Uid:"),
        field("PPid:"),
    ))
}
