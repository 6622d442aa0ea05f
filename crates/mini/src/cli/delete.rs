//! `delete`.

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::report;
use crate::container::Bundle;
use crate::error::{Error, ErrorKind, Result};
use crate::hooks::{self, StateForHook};
use crate::resctrl;
use crate::state::{State, Status, Store};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut force = false;
    arguments.flags(|flag, _| match flag {
        "--force" => {
            force = true;
            Ok(())
        }
        _ => Err(Arguments::unknown(flag)),
    })?;
    let id = arguments.id()?;
    let store = Store::of(&globals.root, &id)?;
    let state = match store.read() {
        Ok(state) => state,
        // Never there, or cut off before its state was written.
        Err(error) if force && error.kind() == ErrorKind::NotFound => {
            store.remove_unfinished()?;
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    let status = store.status(&state);
    if matches!(status, Status::Running | Status::Paused) && !force {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!(
                "cannot delete container {id} that is not stopped: {}",
                status.word()
            ),
        )
        .with_hint("stop it first, or use --force"));
    }
    finish(globals, &store, &state)?;
    Ok(0)
}

/// Ends what is left of a container, removes it and runs its hooks for that.
pub(crate) fn finish(globals: &Globals, store: &Store, state: &State) -> Result<()> {
    state.end()?;
    store.remove()?;
    // The bundle may be gone; then so are its hooks.
    if let Ok(bundle) = Bundle::read(&state.bundle) {
        if let Err(error) = resctrl::remove(&bundle.spec, &state.id) {
            report::warning(globals, &error);
        }
        run_poststop(globals, &state.id, &bundle);
    }
    Ok(())
}

/// Runs the hooks for a container's end. One that fails is only told of: the container is gone all the same.
pub(crate) fn run_poststop(globals: &Globals, id: &str, bundle: &Bundle) {
    let Some(hooks) = &bundle.spec.hooks else {
        return;
    };
    let stopped = StateForHook::new(id, &bundle.directory, "stopped", None, &bundle.spec);
    for error in hooks::run_each("poststop", &hooks.poststop, &stopped) {
        report::warning(globals, &error);
    }
}
