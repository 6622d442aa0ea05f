//! `list` and `state`.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;

use serde::Serialize;

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::report;
use crate::clock;
use crate::error::{Error, Result};
use crate::state::{State, Status, Store};

/// As runc prints it: the state of the runtime-spec and some more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    oci_version: String,
    id: String,
    pid: i32,
    status: &'static str,
    bundle: String,
    rootfs: String,
    created: String,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: std::collections::BTreeMap<String, String>,
    owner: String,
}

impl Shown {
    fn of(store: &Store, state: State) -> Self {
        let status = store.status(&state);
        Self {
            oci_version: state.oci_version,
            id: state.id,
            pid: if status == Status::Stopped {
                0
            } else {
                state.pid
            },
            status: status.word(),
            rootfs: state.rootfs.display().to_string(),
            bundle: state.bundle.display().to_string(),
            created: clock::rfc3339(state.created_unix_ns),
            annotations: state.annotations,
            owner: String::new(),
        }
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Error::invalid(format!("encode the state: {error}")))
}

pub(crate) fn state(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    arguments.flags(|flag, _| Err(Arguments::unknown(flag)))?;
    let id = arguments.id()?;
    let store = Store::of(&globals.root, &id)?;
    report::say(&json(&Shown::of(&store, store.read()?))?);
    Ok(0)
}

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let (mut quiet, mut as_json) = (false, false);
    arguments.flags(|flag, arguments| match flag {
        "--quiet" => {
            quiet = true;
            Ok(())
        }
        "--format" => match arguments.text()?.as_str() {
            "json" => {
                as_json = true;
                Ok(())
            }
            "table" => Ok(()),
            other => Err(Error::invalid(format!("invalid format option {other:?}"))
                .with_hint("the formats are table and json")),
        },
        _ => Err(Arguments::unknown(flag)),
    })?;
    let mut all = Vec::new();
    let entries = match std::fs::read_dir(&globals.root) {
        // Nothing was made yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !globals.root_given => {
            Vec::new()
        }
        entries => entries
            .map_err(|error| Error::sys("open", globals.root.display(), error))?
            .flatten()
            .collect(),
    };
    for entry in entries {
        // One that is just being made or removed is not there.
        if let Ok(store) = Store::of(&globals.root, &entry.file_name().to_string_lossy())
            && let Ok(state) = store.read()
        {
            let mut shown = Shown::of(&store, state);
            shown.owner = entry
                .metadata()
                .map(|metadata| owner(metadata.uid()))
                .unwrap_or_default();
            all.push(shown);
        }
    }
    all.sort_by(|one, other| one.id.cmp(&other.id));
    if quiet {
        for shown in &all {
            report::say(&shown.id);
        }
    } else if as_json {
        let json = serde_json::to_string(&all)
            .map_err(|error| Error::invalid(format!("encode the list: {error}")))?;
        report::say(&json);
    } else {
        print_table(&all);
    }
    Ok(0)
}

/// A column is as wide as its widest cell and three more, and at least this wide, as runc prints it.
const LEAST_WIDTH: usize = 12;

fn print_table(all: &[Shown]) {
    let title = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(title)
        .chain(all.iter().map(|shown| {
            [
                shown.id.clone(),
                shown.pid.to_string(),
                shown.status.to_owned(),
                shown.bundle.clone(),
                shown.created.clone(),
                shown.owner.clone(),
            ]
        }))
        .collect();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count().saturating_add(3))
                .max()
                .unwrap_or_default()
                .max(LEAST_WIDTH);
            // Writing to a string does not fail.
            write!(line, "{cell:<width$}").ok();
        }
        report::say(line.trim_end());
    }
}

/// The name of a user of the host, else `#` and the number.
fn owner(uid: u32) -> String {
    let number = uid.to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    users
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == number).then(|| name.to_owned())
        })
        .unwrap_or_else(|| format!("#{number}"))
}
