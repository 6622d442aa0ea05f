//! `start`.

use std::fs::File;
use std::io::Write as _;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::cli::arguments::{Arguments, Globals};
use crate::container::{Bundle, PATIENCE};
use crate::error::{Error, ErrorKind, Result};
use crate::hooks::{self, StateForHook};
use crate::state::{State, Status, Store};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    arguments.flags(|flag, _| Err(Arguments::unknown(flag)))?;
    let id = arguments.id()?;
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
    let gate = open_gate(&store)?;
    if bundle
        .spec
        .hooks
        .as_ref()
        .is_some_and(|hooks| !hooks.poststart.is_empty())
    {
        wait_for_program(&gate)?;
    }
    run_poststart(&state, &bundle)?;
    Ok(0)
}

/// Lets the program run; from then on the container counts as running.
fn open_gate(store: &Store) -> Result<File> {
    let path = store.gate();
    let error = |error| Error::sys("open the gate", path.display(), error);
    let mut gate = File::options().write(true).open(&path).map_err(error)?;
    gate.write_all(b"0").map_err(error)?;
    std::fs::remove_file(&path).map_err(error)?;
    Ok(gate)
}

/// Waits until the container's process has executed its program, or is gone: then nobody reads at the gate any more.
fn wait_for_program(gate: &File) -> Result<()> {
    loop {
        let mut end = [PollFd::new(gate, PollFlags::empty())];
        match poll(&mut end, None) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::sys("wait for", "the program", errno)),
        }
    }
}

/// Runs the hooks for a container's start. When one fails the container is ended.
pub(crate) fn run_poststart(state: &State, bundle: &Bundle) -> Result<()> {
    let Some(hooks) = &bundle.spec.hooks else {
        return Ok(());
    };
    let running = StateForHook::new(
        &state.id,
        &state.bundle,
        "running",
        Some(state.pid),
        &bundle.spec,
    );
    let result = hooks::run_all("poststart", &hooks.poststart, &running, &[]);
    if result.is_err() {
        // The first error is the one that matters; `delete` tries again.
        drop(
            state
                .cgroup()
                .and_then(|cgroup| Ok(cgroup.kill_all(PATIENCE)?)),
        );
    }
    result
}
