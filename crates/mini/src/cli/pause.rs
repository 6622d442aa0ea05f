//! `pause` and `resume`.

use crate::cli::arguments::{Arguments, Globals};
use crate::error::{Error, ErrorKind, Result};
use crate::state::{Status, Store};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments, pause: bool) -> Result<u8> {
    arguments.flags(|flag, _| Err(Arguments::unknown(flag)))?;
    let id = arguments.id()?;
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    let status = store.status(&state);
    let right = if pause {
        matches!(status, Status::Running | Status::Created)
    } else {
        status == Status::Paused
    };
    if !right {
        let expected = if pause {
            "running or created"
        } else {
            "paused"
        };
        return Err(Error::new(
            ErrorKind::WrongState,
            format!("container is {}, not {expected}", status.word()),
        ));
    }
    let cgroup = state.cgroup()?;
    if pause {
        cgroup.freeze()?;
    } else {
        cgroup.thaw()?;
    }
    Ok(0)
}
