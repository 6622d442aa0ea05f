//! `start`.

use std::io::Write as _;

use crate::cli::arguments::{Arguments, Globals};
use crate::container::Bundle;
use crate::error::{Error, ErrorKind, Result};
use crate::hooks::{self, StateForHook};
use crate::state::{State, Status, Store};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    arguments.flags(|flag, _| Err(Arguments::unknown(flag)))?;
    let id = arguments.id()?;
    arguments.end()?;
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    match store.status(&state) {
        Status::Created => {}
        Status::Stopped => {
            return Err(Error::new(
                ErrorKind::WrongState,
                "cannot start a container that has stopped",
            ));
        }
        Status::Running | Status::Paused => {
            return Err(Error::new(
                ErrorKind::WrongState,
                "cannot start an already running container",
            ));
        }
    }
    let bundle = Bundle::read(&state.bundle)?;
    open_gate(&store)?;
    run_poststart(&state, &bundle)?;
    Ok(0)
}

/// Lets the program run; from then on the container counts as running.
fn open_gate(store: &Store) -> Result<()> {
    let path = store.gate();
    let error = |error| Error::sys("open the gate", path.display(), error);
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut gate| gate.write_all(b"0"))
        .map_err(error)?;
    std::fs::remove_file(&path).map_err(error)
}

pub(crate) fn run_poststart(state: &State, bundle: &Bundle) -> Result<()> {
    match &bundle.spec.hooks {
        None => Ok(()),
        Some(hooks) => {
            let state = StateForHook::new(
                &state.id,
                &state.bundle,
                "running",
                Some(state.pid),
                &bundle.spec,
            );
            hooks::run_all(&hooks.poststart, &state)
        }
    }
}
