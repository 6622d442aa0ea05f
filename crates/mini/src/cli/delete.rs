//! `delete`.

use crate::cli::arguments::{Arguments, Globals};
use crate::container::Bundle;
use crate::error::{Error, ErrorKind, Result};
use crate::hooks::{self, StateForHook};
use crate::state::{Status, Store};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut force = false;
    arguments.flags(|flag, _| match flag {
        "--force" | "-f" => {
            force = true;
            Ok(())
        }
        _ => Err(Arguments::unknown(flag)),
    })?;
    let id = arguments.id()?;
    arguments.end()?;
    let store = Store::of(&globals.root, &id)?;
    let state = match store.read() {
        Ok(state) => state,
        // Cut off before its state was written.
        Err(error) if force && error.kind() == ErrorKind::NotFound => {
            store.remove_unfinished()?;
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    let status = store.status(&state);
    if status != Status::Stopped && !force {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!(
                "cannot delete container {id} that is not stopped: {}",
                status.word()
            ),
        ));
    }
    state.end()?;
    store.remove()?;
    // The bundle may be gone; then so are its hooks.
    if let Ok(bundle) = Bundle::read(&state.bundle)
        && let Some(hooks) = &bundle.spec.hooks
    {
        let stopped = StateForHook::new(&state.id, &state.bundle, "stopped", None, &bundle.spec);
        hooks::run_all(&hooks.poststop, &stopped)?;
    }
    Ok(0)
}
