//! Device rules put in force, with as little change as can be: what is open to the processes now stays open to them at every
//! moment unless it is taken away.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;

use super::{DeviceAccess, DeviceList, DeviceRule, program, rule_text};
use crate::layout::Controller;
use crate::{Cgroup, Error, file, parse};

impl Cgroup {
    /// Sets which devices the processes in it may use, replacing what was set before: in one step on v2, on v1 by what differs
    /// only. Rules that mean what is in force already change nothing. Without any rule nothing is allowed.
    ///
    /// A process without the right to set device rules (in a user namespace, or of another user than root) has no right to make
    /// device nodes either, and of those that are there it may use what the file's mode lets its user: so the
    /// kernel's refusal is no error then. Peers do the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`DeviceList::from_rules`]; [`Error::NotSupported`] if neither a v1 devices hierarchy
    /// nor v2 is there; [`Error::Sys`].
    pub fn set_devices(&self, rules: &[DeviceRule]) -> Result<(), Error> {
        let list = DeviceList::from_rules(rules)?;
        let outcome = match self.directory_of(Controller::Devices) {
            Some(directory) => set_v1(&directory.path, &list),
            None => self.attach_device_program(&list),
        };
        match outcome {
            Err(error)
                if matches!(error.errno(), Some(Errno::PERM | Errno::ACCESS))
                    && is_unprivileged() =>
            {
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn attach_device_program(&self, list: &DeviceList) -> Result<(), Error> {
        let (Some(path), Some(directory)) = (self.v2_directory(), self.clone_fd()?) else {
            return Err(Error::NotSupported {
                what: "devices".into(),
                value: format!("{} rules", list.exceptions.len()),
                reason: "neither the v1 devices controller nor cgroup v2 is mounted".into(),
                hint: "mount one of them".into(),
            });
        };
        let failed = |operation, error: &std::io::Error| {
            let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
            Error::sys(operation, path, errno)
                .with_hint("needs CAP_BPF (or root) and a kernel with CONFIG_CGROUP_BPF")
        };
        let earlier = sys::bpf::device_programs(directory.as_fd())
            .map_err(|error| failed("list device programs of", &error))?;
        if earlier.is_empty() && list.allow_by_default && list.exceptions.is_empty() {
            return Ok(());
        }
        let loaded = sys::bpf::load_device_program(&program(list)?)
            .map_err(|error| failed("load device program for", &error))?;
        let attach_failed = |error: std::io::Error| failed("attach device program to", &error);
        if let [only] = earlier.as_slice() {
            let tag = |fd| sys::bpf::program_tag(fd).ok();
            if tag(only.as_fd()).is_some_and(|now| tag(loaded.as_fd()) == Some(now)) {
                return Ok(());
            }
            match sys::bpf::replace_device_program(directory.as_fd(), loaded.as_fd(), only.as_fd())
            {
                Ok(()) => return Ok(()),
                // Before Linux 5.6, or attached in another way than ours: in two steps then.
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
                Err(error) => return Err(attach_failed(error)),
            }
        }
        // The new one first: all attached ones must allow, so there is no moment without a rule.
        sys::bpf::attach_device_program(directory.as_fd(), loaded.as_fd())
            .map_err(attach_failed)?;
        for old in earlier {
            sys::bpf::detach_device_program(directory.as_fd(), old.as_fd())
                .map_err(|error| failed("detach device program from", &error))?;
        }
        Ok(())
    }
}

/// Writes what differs between the list in force and the wanted one.
fn set_v1(directory: &Path, wanted: &DeviceList) -> Result<(), Error> {
    let write = |name: &str, lines: Vec<String>| {
        file::write_all_named(&directory.join(name), lines.into_iter()).map_err(|error| {
            match error.errno() {
                Some(Errno::PERM) => error.with_hint(
                    "the parent cgroup does not allow this device, or the process may not change device rules",
                ),
                _ => error,
            }
        })
    };
    let now = DeviceList::from_listing(&file::read_named(&directory.join("devices.list"))?);
    // The kernel does not list what is denied when all else is allowed: then nothing is known about now.
    if !now.allow_by_default && !wanted.allow_by_default {
        if now.says_the_same(wanted) {
            return Ok(());
        }
        write("devices.allow", differences(wanted, &now))?;
        return write("devices.deny", differences(&now, wanted));
    }
    let (default, other) = if wanted.allow_by_default {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    write(default, vec!["a".to_owned()])?;
    write(other, wanted.exceptions.iter().map(rule_text).collect())
}

/// The exceptions of a list that another lacks, as lines.
fn differences(of: &DeviceList, from: &DeviceList) -> Vec<String> {
    of.exceptions
        .iter()
        .map(|rule| DeviceRule {
            access: rule.access.without(from.exception_of(rule)),
            ..*rule
        })
        .filter(|rule| rule.access != DeviceAccess::NONE)
        .map(|rule| rule_text(&rule))
        .collect()
}

fn is_unprivileged() -> bool {
    !rustix::process::geteuid().is_root()
        || file::read(Path::new("/proc/self/uid_map"))
            .is_ok_and(|map| !parse::is_identity_map(&map))
}
