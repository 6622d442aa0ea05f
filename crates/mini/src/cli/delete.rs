//! `delete`.

use std::time::Duration;

use crate::cli::arguments::{Arguments, Globals};
use crate::cli::report;
use crate::container::Bundle;
use crate::error::{Error, ErrorKind, Result};
use crate::hooks::{self, StateForHook};
use crate::resctrl;
use crate::state::{State, Status, Store};

/// A program that was started a moment ago may be about to end: callers written for slower runtimes do not wait for it.
const GRACE: Duration = Duration::from_millis(100);

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
    let grace = if force { Duration::ZERO } else { GRACE };
    let status = store.status_after(&state, grace);
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
///
/// # Errors
/// `Sys` when something will not go; that of the first hook that failed, the container being gone all the same.
pub(crate) fn finish(globals: &Globals, store: &Store, state: &State) -> Result<()> {
    state.end()?;
    store.remove()?;
    // The bundle may be gone; then so are its hooks.
    let Ok(bundle) = Bundle::read(&state.bundle) else {
        return Ok(());
    };
    if let Err(error) = resctrl::remove(&bundle.spec, &state.id) {
        report::warning(globals, &error);
    }
    run_poststop(&state.id, &bundle)
}

/// Runs the hooks for a container's end, until one fails: as runc and youki, whose callers expect it, where the
/// runtime-spec would have the others run.
pub(crate) fn run_poststop(id: &str, bundle: &Bundle) -> Result<()> {
    let Some(hooks) = &bundle.spec.hooks else {
        return Ok(());
    };
    let stopped = StateForHook::new(id, &bundle.directory, "stopped", None, &bundle.spec);
    hooks::run_all("poststop", &hooks.poststop, &stopped, &[])
}
