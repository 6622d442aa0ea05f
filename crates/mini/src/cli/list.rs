//! `list` and `state`.

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
    owner: &'static str,
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
            owner: "",
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
    arguments.end()?;
    let store = Store::of(&globals.root, &id)?;
    report::say(&json(&Shown::of(&store, store.read()?))?);
    Ok(0)
}

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let (mut quiet, mut as_json) = (false, false);
    arguments.flags(|flag, arguments| match flag {
        "--quiet" | "-q" => {
            quiet = true;
            Ok(())
        }
        "--format" | "-f" => match arguments.text()?.as_str() {
            "json" => {
                as_json = true;
                Ok(())
            }
            "table" => Ok(()),
            other => Err(Error::invalid(format!("invalid format {other:?}"))),
        },
        _ => Err(Arguments::unknown(flag)),
    })?;
    arguments.end()?;
    let mut all = Vec::new();
    // No directory, no containers.
    for entry in std::fs::read_dir(&globals.root)
        .into_iter()
        .flatten()
        .flatten()
    {
        // One that is just being made or removed is not there.
        if let Ok(store) = Store::of(&globals.root, &entry.file_name().to_string_lossy())
            && let Ok(state) = store.read()
        {
            all.push(Shown::of(&store, state));
        }
    }
    all.sort_by(|one, other| one.id.cmp(&other.id));
    if quiet {
        for shown in &all {
            report::say(&shown.id);
        }
    } else if as_json {
        report::say(&json(&all)?);
    } else {
        report::say(&format!(
            "{:<24} {:<8} {:<9} {:<40} CREATED",
            "ID", "PID", "STATUS", "BUNDLE"
        ));
        for shown in all {
            report::say(&format!(
                "{:<24} {:<8} {:<9} {:<40} {}",
                shown.id, shown.pid, shown.status, shown.bundle, shown.created
            ));
        }
    }
    Ok(0)
}
