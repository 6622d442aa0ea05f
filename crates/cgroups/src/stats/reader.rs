//! The files of a cgroup's figures, kept open and read again with one `pread` each.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Stats;
use super::values::{Source, take};
use crate::layout::Controller;
use crate::{Cgroup, Error, file};

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What a live table and its charts show, from as few files as that takes.
    Live,
    /// Everything.
    Full,
}

/// A cgroup's figures, again and again.
#[derive(Debug)]
pub struct StatsReader {
    path: String,
    detail: Detail,
    files: Vec<(Source, Handle)>,
    buffer: Vec<u8>,
}

/// A file that is kept open, or opened for each reading.
#[derive(Debug)]
enum Handle {
    Open(OwnedFd),
    Path(PathBuf),
}

/// Controller (`None`: v2's core), source, file, only with [`Detail::Full`].
type Known = (Option<Controller>, Source, &'static str, bool);

const V1: &[Known] = &[
    (
        Some(Controller::Cpuacct),
        Source::CpuacctUsage,
        "cpuacct.usage",
        false,
    ),
    (
        Some(Controller::Cpuacct),
        Source::CpuacctStat,
        "cpuacct.stat",
        true,
    ),
    (
        Some(Controller::Cpuacct),
        Source::CpuacctPerCpu,
        "cpuacct.usage_percpu",
        true,
    ),
    (Some(Controller::Cpu), Source::CpuStatV1, "cpu.stat", false),
    (
        Some(Controller::Memory),
        Source::MemoryUsage,
        "memory.usage_in_bytes",
        false,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryStatV1,
        "memory.stat",
        false,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryLimit,
        "memory.limit_in_bytes",
        false,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryPeak,
        "memory.max_usage_in_bytes",
        true,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryFailcnt,
        "memory.failcnt",
        true,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryOomControl,
        "memory.oom_control",
        false,
    ),
    (
        Some(Controller::Io),
        Source::BlkioBytes,
        "blkio.throttle.io_service_bytes_recursive",
        false,
    ),
    (
        Some(Controller::Io),
        Source::BlkioOperations,
        "blkio.throttle.io_serviced_recursive",
        true,
    ),
    (
        Some(Controller::Pids),
        Source::PidsCurrent,
        "pids.current",
        false,
    ),
    (Some(Controller::Pids), Source::PidsMax, "pids.max", false),
];

const V2: &[Known] = &[
    (Some(Controller::Cpu), Source::CpuStatV2, "cpu.stat", false),
    (
        Some(Controller::Memory),
        Source::MemoryUsage,
        "memory.current",
        false,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryStatV2,
        "memory.stat",
        false,
    ),
    (
        Some(Controller::Memory),
        Source::SwapCurrent,
        "memory.swap.current",
        false,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryLimit,
        "memory.max",
        false,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryPeak,
        "memory.peak",
        true,
    ),
    (
        Some(Controller::Memory),
        Source::MemoryEvents,
        "memory.events",
        false,
    ),
    (Some(Controller::Io), Source::IoStat, "io.stat", false),
    (
        Some(Controller::Pids),
        Source::PidsCurrent,
        "pids.current",
        false,
    ),
    (Some(Controller::Pids), Source::PidsMax, "pids.max", false),
    (None, Source::PressureCpu, "cpu.pressure", true),
    (None, Source::PressureMemory, "memory.pressure", true),
    (None, Source::PressureIo, "io.pressure", true),
];

impl StatsReader {
    /// Opens what there is; a file that is not there leaves its figures out. When the process may open no more files, the
    /// rest is opened anew for each reading.
    pub fn open(cgroup: &Cgroup, detail: Detail) -> Self {
        Self::new(cgroup, detail, true)
    }

    /// As [`StatsReader::open`] without keeping any file open: a reading costs more than twice as much.
    pub fn open_sparingly(cgroup: &Cgroup, detail: Detail) -> Self {
        Self::new(cgroup, detail, false)
    }

    fn new(cgroup: &Cgroup, detail: Detail, keep: bool) -> Self {
        let mut files = Vec::with_capacity(12);
        for (known, v2) in [(V1, false), (V2, true)] {
            for (controller, source, name, full) in known {
                if *full && detail != Detail::Full {
                    continue;
                }
                let directory = match controller {
                    Some(controller) => cgroup
                        .directory_of(*controller)
                        .filter(|directory| directory.v2 == v2)
                        .map(|directory| directory.path.as_path()),
                    None => cgroup.v2_directory(),
                };
                let Some(path) = directory.map(|path| path.join(name)) else {
                    continue;
                };
                let handle = if keep {
                    match open(&path) {
                        Ok(file) => Handle::Open(file),
                        Err(Errno::MFILE | Errno::NFILE) => Handle::Path(path),
                        Err(_) => continue,
                    }
                } else if file::exists(&path) {
                    Handle::Path(path)
                } else {
                    continue;
                };
                files.push((*source, handle));
            }
        }
        Self {
            path: cgroup.path().to_owned(),
            detail,
            files,
            buffer: vec![0; 8192],
        }
    }

    /// How many files are kept open.
    pub fn open_files(&self) -> usize {
        self.files
            .iter()
            .filter(|(_, handle)| matches!(handle, Handle::Open(_)))
            .count()
    }

    /// The figures now, one `pread` a file.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the cgroup is gone.
    pub fn read(&mut self) -> Result<Stats, Error> {
        let mut stats = Stats::default();
        let mut gone = self.files.is_empty();
        for (source, handle) in &self.files {
            let content = match handle {
                Handle::Open(file) => read_again(file, &mut self.buffer),
                Handle::Path(path) => {
                    open(path).and_then(|file| read_again(&file, &mut self.buffer))
                }
            };
            match content {
                Ok(content) => take(&mut stats, *source, content, self.detail == Detail::Full),
                Err(Errno::NODEV | Errno::NOENT) => gone = true,
                // One figure less: pressure answers so when it is switched off.
                Err(_) => {}
            }
        }
        if gone {
            return Err(Error::NotFound {
                path: self.path.clone(),
            });
        }
        Ok(stats)
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// The file from its start. The kernel gives the whole of such a file in one read if there is room.
fn read_again<'a>(file: &OwnedFd, buffer: &'a mut Vec<u8>) -> Result<&'a str, Errno> {
    loop {
        let n = rustix::io::pread(file, buffer.as_mut_slice(), 0)?;
        if n < buffer.len() || buffer.len() >= 1 << 20 {
            let content = buffer.get(..n).unwrap_or_default();
            return std::str::from_utf8(content).map_err(|_not_text| Errno::ILSEQ);
        }
        buffer.resize(buffer.len() * 2, 0);
    }
}
