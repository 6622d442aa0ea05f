//! `update`: other limits for a container that is there already, all of them or none.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::Value;

use crate::cli::arguments::{Arguments, Globals};
use crate::container::Bundle;
use crate::error::{Error, ErrorKind, Result};
use crate::limits;
use crate::spec::{BlockIo, Cpu, Memory, Pids, Resources};
use crate::state::{State, Status, Store};

#[derive(Debug, Default)]
struct Flags {
    file: Option<PathBuf>,
    memory: Memory,
    cpu: Cpu,
    pids: Pids,
    block_io: BlockIo,
    /// `--l3-cache-schema` or `--mem-bw-schema`, by runc's name of what it sets.
    rdt: Option<&'static str>,
}

impl Flags {
    fn take(&mut self, flag: &str, arguments: &mut Arguments) -> Result<()> {
        let Self {
            memory,
            cpu,
            pids,
            block_io,
            ..
        } = self;
        if flag == "--resources" {
            self.file = Some(arguments.path()?);
            return Ok(());
        }
        let text = match flag {
            "--memory"
            | "--memory-swap"
            | "--memory-reservation"
            | "--kernel-memory"
            | "--kernel-memory-tcp"
            | "--cpu-period"
            | "--cpu-quota"
            | "--cpu-burst"
            | "--cpu-share"
            | "--cpu-rt-period"
            | "--cpu-rt-runtime"
            | "--cpu-idle"
            | "--cpuset-cpus"
            | "--cpuset-mems"
            | "--pids-limit"
            | "--blkio-weight"
            | "--l3-cache-schema"
            | "--mem-bw-schema" => arguments.text()?,
            _ => return Err(Arguments::unknown(flag)),
        };
        // As with runc, an empty value is as no flag.
        if text.is_empty() {
            return Ok(());
        }
        match flag {
            "--memory" => memory.limit = Some(bytes(flag, &text)?),
            "--memory-swap" => memory.swap = Some(bytes(flag, &text)?),
            "--memory-reservation" => memory.reservation = Some(bytes(flag, &text)?),
            // No kernel has such a limit any more.
            "--kernel-memory" => drop(bytes(flag, &text)?),
            "--kernel-memory-tcp" => memory.kernel_tcp = Some(bytes(flag, &text)?),
            "--cpu-period" => cpu.period = Some(number(flag, &text)?),
            "--cpu-quota" => cpu.quota = Some(number(flag, &text)?),
            "--cpu-burst" => cpu.burst = Some(number(flag, &text)?),
            "--cpu-share" => cpu.shares = Some(number(flag, &text)?),
            "--cpu-rt-period" => cpu.realtime_period = Some(number(flag, &text)?),
            "--cpu-rt-runtime" => cpu.realtime_runtime = Some(number(flag, &text)?),
            "--cpu-idle" => cpu.idle = Some(number(flag, &text)?),
            "--cpuset-cpus" => cpu.cpus = text,
            "--cpuset-mems" => cpu.mems = text,
            "--pids-limit" => pids.limit = Some(number(flag, &text)?),
            "--blkio-weight" => block_io.weight = Some(number(flag, &text)?),
            "--l3-cache-schema" => self.rdt = Some("CAT: l3 cache schema"),
            _ => self.rdt = Some("MBA: memory bandwidth schema"),
        }
        Ok(())
    }
}

pub(crate) fn run(globals: &Globals, arguments: &mut Arguments) -> Result<u8> {
    let mut flags = Flags::default();
    arguments.flags(|flag, arguments| flags.take(flag, arguments))?;
    let id = arguments.id()?;
    let store = Store::of(&globals.root, &id)?;
    let state = store.read()?;
    if store.status(&state) == Status::Stopped {
        return Err(Error::new(
            ErrorKind::WrongState,
            "container not running: cannot update a container that has stopped",
        ));
    }
    if let Some(what) = flags.rdt {
        return Err(without_rdt(what));
    }
    let (resources, pids) = if let Some(path) = &flags.file {
        (read(path)?, None)
    } else {
        let pids = flags.pids.limit;
        let resources = Resources {
            memory: Some(flags.memory),
            cpu: Some(flags.cpu),
            block_io: Some(flags.block_io),
            ..Resources::default()
        };
        (resources, pids)
    };
    let mut wanted = limits::limits(&resources)?;
    // Docker writes 0 where it means nothing; who gives the flag means it.
    wanted.pids = pids.or(wanted.pids);
    let devices = changed_devices(&state, &resources)
        .then(|| limits::device_rules(&resources.devices))
        .transpose()?;
    let cgroup = state.cgroup()?.with_own_controllers()?;
    match &state.systemd {
        Some(unit) => unit.update(&cgroup, &wanted, devices.as_deref())?,
        None => cgroup.update(&wanted, devices.as_deref()),
    }
    .map_err(|error| {
        let all_is_as_before = !matches!(error, cgroups::Error::NotTakenBack { .. });
        let error = Error::from(error);
        if !all_is_as_before {
            return error;
        }
        let hint = match error.hint() {
            "" => "nothing was changed".to_owned(),
            hint => format!("{hint}; nothing was changed"),
        };
        error.with_hint(hint)
    })?;
    Ok(0)
}

/// Whether there are device rules, and others than the container was made with. Who passes all resources of the bundle on
/// must not take away what a hook has allowed since (a graphics card, say).
fn changed_devices(state: &State, resources: &Resources) -> bool {
    if resources.devices.is_empty() {
        return false;
    }
    // Without its bundle nothing is known of before.
    let Ok(bundle) = Bundle::read(&state.bundle) else {
        return true;
    };
    let before = bundle
        .spec
        .linux
        .and_then(|linux| linux.resources)
        .map(|resources| resources.devices)
        .unwrap_or_default();
    before != resources.devices
}

/// runc's words: no container of ours has an Intel RDT group to change.
fn without_rdt(what: &str) -> Error {
    if Path::new("/sys/fs/resctrl/schemata").exists() {
        Error::unsupported("updating a non-existent Intel RDT configuration is not supported")
            .with_hint("make the container with linux.intelRdt")
    } else {
        Error::unsupported(format!("Intel RDT/{what} is not enabled")).with_hint(
            "it needs an Intel processor with RDT, and resctrl mounted on /sys/fs/resctrl",
        )
    }
}

/// The JSON of `linux.resources`, of a file or with `-` of standard input.
fn read(path: &Path) -> Result<Resources> {
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
    parse(&json).map_err(|error| Error::invalid(format!("read {}: {error}", path.display())))
}

/// Resources from JSON. Names may be written in any case, since runc's callers got used to Go's reader.
///
/// # Errors
/// That of the JSON reader.
pub(crate) fn parse(json: &[u8]) -> Result<Resources, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(json)?;
    fold_names(&mut value);
    serde_json::from_value(value)
}

/// The properties of `linux.resources` at every depth.
const NAMES: [&str; 47] = [
    "devices",
    "allow",
    "type",
    "major",
    "minor",
    "access",
    "memory",
    "limit",
    "reservation",
    "swap",
    "kernel",
    "kernelTCP",
    "swappiness",
    "disableOOMKiller",
    "useHierarchy",
    "checkBeforeUpdate",
    "cpu",
    "shares",
    "quota",
    "burst",
    "period",
    "realtimeRuntime",
    "realtimePeriod",
    "cpus",
    "mems",
    "idle",
    "pids",
    "blockIO",
    "weight",
    "leafWeight",
    "weightDevice",
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
    "rate",
    "hugepageLimits",
    "pageSize",
    "network",
    "classID",
    "priorities",
    "name",
    "priority",
    "rdma",
    "hcaHandles",
    "hcaObjects",
    "unified",
];

/// Gives properties their names as the runtime-spec writes them. Names of files and of RDMA devices are left alone.
fn fold_names(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(fold_names),
        Value::Object(object) => {
            let entries = std::mem::take(object);
            for (key, mut value) in entries {
                let name = NAMES
                    .iter()
                    .find(|name| name.eq_ignore_ascii_case(&key))
                    .map_or(key, |name| (*name).to_owned());
                match (name.as_str(), &mut value) {
                    ("unified", _) => {}
                    ("rdma", Value::Object(devices)) => {
                        devices.values_mut().for_each(fold_names);
                    }
                    (_, value) => fold_names(value),
                }
                object.insert(name, value);
            }
        }
        _ => {}
    }
}

fn number<T: FromStr<Err: std::fmt::Display>>(flag: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error| {
        Error::invalid(format!(
            "invalid value for {}: {text:?}: {error}",
            flag.trim_start_matches('-')
        ))
    })
}

/// A number of bytes, with a suffix of Docker's (`64m`, `1.5g`) if there is one; -1 is unlimited.
fn bytes(flag: &str, text: &str) -> Result<i64> {
    let bad = || {
        Error::invalid(format!(
            "invalid value for {}: {text:?} is not a number of bytes",
            flag.trim_start_matches('-')
        ))
        .with_hint("write a number, or one with k, m or g")
    };
    let lower = text.to_ascii_lowercase();
    let lower = lower
        .strip_suffix("ib")
        .or(lower.strip_suffix('b'))
        .unwrap_or(&lower);
    let (number, shift) = [('k', 10), ('m', 20), ('g', 30), ('t', 40), ('p', 50)]
        .into_iter()
        .find_map(|(letter, shift)| Some((lower.strip_suffix(letter)?, shift)))
        .unwrap_or((lower, 0));
    let unit = 1_i64 << shift;
    let number = number.trim_end();
    let Some((whole, part)) = number.split_once('.') else {
        let number: i64 = number.parse().map_err(|_| bad())?;
        if number < -1 || (number == -1 && shift != 0) {
            return Err(bad());
        }
        return number.checked_mul(unit).ok_or_else(bad);
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.is_empty() || part.len() > 9 || !digits(whole) || !digits(part) {
        return Err(bad());
    }
    let scale = 10_i64.pow(u32::try_from(part.len()).map_err(|_| bad())?);
    let whole: i64 = whole.parse().map_err(|_| bad())?;
    let part: i128 = part.parse().map_err(|_| bad())?;
    let part = i64::try_from(part * i128::from(unit) / i128::from(scale)).map_err(|_| bad())?;
    whole
        .checked_mul(unit)
        .and_then(|bytes| bytes.checked_add(part))
        .ok_or_else(bad)
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
            ("50M", 50 << 20),
            ("1GiB", 1 << 30),
            ("2kb", 2048),
            ("1.5g", 3 << 29),
        ] {
            assert_eq!(bytes("--memory", text).unwrap(), wanted, "{text}");
        }
        for text in [
            "",
            "m",
            "1x",
            "99999999999t",
            "-2",
            "-1m",
            "1.",
            ".5m",
            "1.5.5",
        ] {
            assert!(bytes("--memory", text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_read_in_any_case_but_those_of_files_are_kept() {
        let resources = parse(
            br#"{"CPU": {"Cpus": "1", "SHARES": 7}, "Memory": {"checkbeforeupdate": true, "kerneltcp": 5},
                 "unified": {"Memory.Max": "1"}, "rdma": {"Limit": {"HcaHandles": 3}}}"#,
        )
        .unwrap();
        let cpu = resources.cpu.unwrap();
        assert_eq!((cpu.cpus.as_str(), cpu.shares), ("1", Some(7)));
        let memory = resources.memory.unwrap();
        assert_eq!(memory.check_before_update, Some(true));
        assert_eq!(memory.kernel_tcp, Some(5));
        assert!(resources.unified.contains_key("Memory.Max"));
        assert_eq!(resources.rdma.get("Limit").unwrap().hca_handles, Some(3));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_resources_or_an_error(text in "\\PC*") {
            drop(parse(text.as_bytes()));
            drop(bytes("--memory", &text));
        }
    }
}
