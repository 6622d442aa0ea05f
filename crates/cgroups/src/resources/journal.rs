//! Writes that can be taken back: what a file said before, as the value that makes it say so again.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::{Error, file};

/// The writes of one change.
#[derive(Debug)]
pub(super) struct Journal {
    /// Files and what was in force, in the order of writing. `None`: not asked to remember (a new cgroup is removed as a whole).
    undo: Option<Vec<(PathBuf, String)>>,
}

impl Journal {
    /// One that only writes.
    pub(super) fn forgetful() -> Self {
        Self { undo: None }
    }

    /// One that can take back.
    pub(super) fn remembering() -> Self {
        Self {
            undo: Some(Vec::new()),
        }
    }

    /// Something is changed that is in use.
    pub(super) fn is_remembering(&self) -> bool {
        self.undo.is_some()
    }

    /// Writes a value.
    pub(super) fn write(&mut self, path: &Path, value: &str) -> Result<(), Errno> {
        let before = self.undo.as_ref().and_then(|_| file::read(path).ok());
        file::write(path, value)?;
        if let (Some(undo), Some(before)) = (&mut self.undo, before) {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if let Some(before) = previous(name, &before, value) {
                undo.push((path.to_owned(), before));
            }
        }
        Ok(())
    }

    /// Takes everything back, the last first: each step was allowed in the other direction. The files that would not go back.
    pub(super) fn take_back(self) -> Vec<Error> {
        self.undo
            .unwrap_or_default()
            .iter()
            .rev()
            .filter_map(|(path, value)| file::write_named(path, value).err())
            .collect()
    }
}

/// The value to write so that a file says again what it said: `before` is its content, `written` what is about to be written to it.
/// `None` if nothing is known to write.
///
/// Files with a line for each device or interface are about the line that `written` names; one that was not there is
/// written as the kernel's "no limit".
pub fn previous(name: &str, before: &str, written: &str) -> Option<String> {
    let key = written.split_ascii_whitespace().next().unwrap_or_default();
    let line = || {
        before
            .lines()
            .find(|line| line.split_ascii_whitespace().next() == Some(key))
            .map(str::to_owned)
    };
    match name {
        "memory.oom_control" => {
            crate::parse::flat_value(before, "oom_kill_disable").map(|value| value.to_string())
        }
        "io.max" | "rdma.max" | "misc.max" => line().or_else(|| {
            // The same keys, without a limit.
            let mut words = written.split_ascii_whitespace();
            let object = words.next()?;
            let unlimited: Vec<_> = words
                .filter_map(|word| Some(format!("{}=max", word.split_once('=')?.0)))
                .collect();
            Some(format!("{object} {}", unlimited.join(" ")))
        }),
        "net_prio.ifpriomap" => line(),
        _ if name.starts_with("blkio.throttle.") => line().or_else(|| Some(format!("{key} 0"))),
        _ if name.ends_with("weight") || name.ends_with("weight_device") => {
            previous_weight(before, written)
        }
        _ => Some(before.trim().to_owned()),
    }
}

/// Weights stand alone (`100`), or as a default and lines of devices (`default 100`, `8:0 200`).
fn previous_weight(before: &str, written: &str) -> Option<String> {
    let mut lines = before.lines();
    let (object, _) = written.rsplit_once(' ').unwrap_or(("default", written));
    if let Some(line) = lines.find(|line| line.split_ascii_whitespace().next() == Some(object)) {
        return Some(line.to_owned());
    }
    if object == "default" {
        let number = before.trim();
        return (!number.is_empty() && !number.contains(char::is_whitespace))
            .then(|| number.to_owned());
    }
    // BFQ and the I/O cost model take a device's weight away by these.
    Some(format!("{object} default"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_what_is_written_back() {
        for (name, before, written, wanted) in [
            ("memory.max", "max\n", "4096", "max"),
            ("cpu.max", "max 100000\n", "5000", "max 100000"),
            ("cpuset.cpus", "\n", "0", ""),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
                "1",
                "0",
            ),
            (
                "io.max",
                "8:0 rbps=max wbps=1000 riops=max wiops=max\n8:16 rbps=1 wbps=max riops=max wiops=max\n",
                "8:16 rbps=7",
                "8:16 rbps=1 wbps=max riops=max wiops=max",
            ),
            ("io.max", "", "8:16 rbps=7", "8:16 rbps=max"),
            (
                "blkio.throttle.read_bps_device",
                "8:0 1000\n",
                "8:0 5",
                "8:0 1000",
            ),
            ("blkio.throttle.read_bps_device", "", "8:0 5", "8:0 0"),
            (
                "io.bfq.weight",
                "default 100\n8:0 200\n",
                "default 50",
                "default 100",
            ),
            (
                "io.bfq.weight",
                "default 100\n8:0 200\n",
                "8:0 3",
                "8:0 200",
            ),
            ("io.weight", "default 100\n", "8:0 3", "8:0 default"),
            ("blkio.bfq.weight", "100\n", "50", "100"),
            ("cpu.weight", "100\n", "50", "100"),
            ("net_prio.ifpriomap", "lo 0\neth0 2\n", "eth0 5", "eth0 2"),
            (
                "rdma.max",
                "mlx4_0 hca_handle=2 hca_object=max\n",
                "mlx4_0 hca_handle=3",
                "mlx4_0 hca_handle=2 hca_object=max",
            ),
            (
                "rdma.max",
                "",
                "mlx4_0 hca_handle=3 hca_object=9",
                "mlx4_0 hca_handle=max hca_object=max",
            ),
        ] {
            assert_eq!(previous(name, before, written).unwrap(), wanted, "{name}");
        }
        assert_eq!(previous("net_prio.ifpriomap", "", "eth0 5"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_content_has_an_answer_or_none(before in "\\PC*", written in "\\PC*") {
            for name in ["io.max", "rdma.max", "cpu.weight", "blkio.throttle.x", "memory.oom_control", "memory.max"] {
                let _ = previous(name, &before, &written);
            }
        }
    }
}
