//! `update`: other limits for a container that is there already.

use std::io::Read as _;
use std::path::PathBuf;

use crate::cli::arguments::{Arguments, Globals};
use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use crate::spec::{BlockIo, Cpu, Memory, Pids, Resources};
use crate::state::{Status, Store};

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut file: Option<PathBuf> = None;
    let (mut memory, mut cpu) = (Memory::default(), Cpu::default());
    let (mut pids, mut block_io) = (Pids::default(), BlockIo::default());
    arguments.flags(|flag, arguments| {
        match flag {
            "--resources" => file = Some(arguments.path()?),
            "--memory" => memory.limit = Some(bytes(&arguments.text()?)?),
            "--memory-swap" => memory.swap = Some(bytes(&arguments.text()?)?),
            "--memory-reservation" => memory.reservation = Some(bytes(&arguments.text()?)?),
            "--cpu-period" => cpu.period = Some(arguments.number()?),
            "--cpu-quota" => cpu.quota = Some(arguments.number()?),
            "--cpu-burst" => cpu.burst = Some(arguments.number()?),
            "--cpu-share" => cpu.shares = Some(arguments.number()?),
            "--cpu-rt-period" => cpu.realtime_period = Some(arguments.number()?),
            "--cpu-rt-runtime" => cpu.realtime_runtime = Some(arguments.number()?),
            "--cpu-idle" => cpu.idle = Some(arguments.number()?),
            "--cpuset-cpus" => cpu.cpus = arguments.text()?,
            "--cpuset-mems" => cpu.mems = arguments.text()?,
            "--kernel-memory" | "--kernel-memory-tcp" => drop(arguments.text()?),
            "--l3-cache-schema" | "--mem-bw-schema" => {
                return Err(Error::unsupported(format!(
                    "{flag}: Intel RDT is not enabled"
                )));
            }
            "--pids-limit" => pids.limit = Some(arguments.number()?),
            "--blkio-weight" => block_io.weight = Some(arguments.number()?),
            _ => return Err(Arguments::unknown(flag)),
        }
        Ok(())
    })?;
    let id = arguments.id()?;
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    if store.status(&state) == Status::Stopped {
        return Err(Error::new(
            ErrorKind::WrongState,
            "cannot update a container that has stopped",
        ));
    }
    let resources = match file {
        Some(path) => read(&path)?,
        None => Resources {
            memory: Some(memory),
            cpu: Some(cpu),
            pids: Some(pids),
            block_io: Some(block_io),
            ..Resources::default()
        },
    };
    state.cgroup()?.apply(&limits::limits(&resources)?)?;
    Ok(0)
}

/// The JSON of `linux.resources`, of a file or with `-` of standard input. Rules about devices are not changed, as by runc.
fn read(path: &std::path::Path) -> Result<Resources> {
    let error = |error| Error::sys("read", path.display(), error);
    let json = if path.as_os_str() == "-" {
        let mut json = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut json)
            .map_err(error)?;
        json
    } else {
        std::fs::read(path).map_err(error)?
    };
    serde_json::from_slice(&json)
        .map_err(|error| Error::invalid(format!("read {}: {error}", path.display())))
}

/// A number of bytes, with a suffix of Docker's (`64m`) if there is one; -1 is unlimited.
fn bytes(text: &str) -> Result<i64> {
    let bad = || Error::invalid(format!("{text:?} is not a number of bytes"));
    let lower = text.to_ascii_lowercase();
    let lower = lower
        .strip_suffix("ib")
        .or(lower.strip_suffix('b'))
        .unwrap_or(&lower);
    let (number, shift) = [('k', 10), ('m', 20), ('g', 30), ('t', 40)]
        .into_iter()
        .find_map(|(letter, shift)| Some((lower.strip_suffix(letter)?, shift)))
        .unwrap_or((lower, 0));
    let number: i64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(1 << shift).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_dockers_suffixes() {
        for (text, wanted) in [
            ("-1", -1),
            ("0", 0),
            ("4096", 4096),
            ("64m", 64 << 20),
            ("1GiB", 1 << 30),
            ("2kb", 2048),
        ] {
            assert_eq!(bytes(text).unwrap(), wanted, "{text}");
        }
        for text in ["", "m", "1x", "99999999999t"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
