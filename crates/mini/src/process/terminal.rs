//! The container's terminal: a pair in its own devpts, the master for us, the slave as its console.
//!
//! Each end is checked to be what its path says before it is used (CVE-2025-52565: a swapped /dev/pts/N).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, OFlags, fstat, fstatfs};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use shim_protocol::ConsoleSize;

use crate::error::{Error, Result};
use crate::rootfs::bind::clone_open;
use crate::rootfs::mounts::attach;
use crate::rootfs::resolve::{Leaf, RootFd};

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// Both ends of a terminal.
#[derive(Debug)]
pub struct Terminal {
    /// Our end.
    pub master: OwnedFd,
    /// The program's end.
    pub slave: OwnedFd,
}

/// Opens a new terminal in the container's devpts.
///
/// # Errors
/// `Sys`; `Invalid` when /dev/pts is not a devpts.
pub fn open(root: &RootFd, size: Option<ConsoleSize>) -> Result<Terminal> {
    let error = |errno| Error::sys("open a terminal", "/dev/pts/ptmx", errno);
    let master = root
        .look_up_without_links(Path::new("/dev/pts/ptmx"), OFlags::RDWR | OFlags::NOCTTY)
        .map_err(|errno| error(errno).with_hint("a terminal needs a devpts mount on /dev/pts"))?;
    check(master.as_fd(), Some((5, 2)))?;
    unlockpt(&master).map_err(error)?;
    let slave = ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )
    .map_err(error)?;
    check(slave.as_fd(), None)?;
    if let Some(size) = size {
        resize(&master, size).map_err(error)?;
    }
    Ok(Terminal { master, slave })
}

fn check(end: BorrowedFd<'_>, number: Option<(u32, u32)>) -> Result<()> {
    let error = |errno| Error::sys("check the terminal", "", errno);
    let stat = fstat(end).map_err(error)?;
    let right_number = match number {
        Some((major, minor)) => stat.st_rdev == rustix::fs::makedev(major, minor),
        // Majors 136 to 143 are Unix98 slaves.
        None => (136..144).contains(&rustix::fs::major(stat.st_rdev)),
    };
    let right = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && right_number
        && fstatfs(end).map_err(error)?.f_type == DEVPTS_SUPER_MAGIC;
    if right {
        Ok(())
    } else {
        Err(
            Error::invalid("/dev/pts is not what it should be: no terminal was found there")
                .with_hint("mount a new devpts on /dev/pts, with the option newinstance"),
        )
    }
}

/// Shows the slave as /dev/console in the container.
///
/// # Errors
/// `Sys`.
pub fn mount_console(root: &RootFd, terminal: &Terminal) -> Result<()> {
    let error = |errno| Error::sys("mount", "/dev/console", errno);
    let target = root.open_or_create(Path::new("/dev/console"), Leaf::File)?;
    let slave = clone_open(&terminal.slave, false).map_err(error)?;
    attach(&slave, &target).map_err(error)
}

/// Makes the terminal leave line ends as the program writes them, before it writes any.
///
/// # Errors
/// `Sys`.
pub fn leave_line_ends(terminal: &Terminal) -> Result<()> {
    let error = |errno| Error::sys("set up", "the terminal", errno);
    let mut modes = tcgetattr(&terminal.slave).map_err(error)?;
    modes.output_modes -= OutputModes::ONLCR;
    tcsetattr(&terminal.slave, OptionalActions::Now, &modes).map_err(error)
}

/// Makes the slave the controlling terminal of this session leader, and its standard input, output and error.
///
/// # Errors
/// `Sys`.
pub fn take(slave: &OwnedFd) -> Result<()> {
    let error = |errno| Error::sys("take the terminal", "", errno);
    rustix::process::ioctl_tiocsctty(slave).map_err(error)?;
    rustix::stdio::dup2_stdin(slave).map_err(error)?;
    rustix::stdio::dup2_stdout(slave).map_err(error)?;
    rustix::stdio::dup2_stderr(slave).map_err(error)
}

/// Sets a terminal's size by its master.
///
/// # Errors
/// The errno of `ioctl`.
pub fn resize(master: impl AsFd, size: ConsoleSize) -> Result<(), Errno> {
    tcsetwinsize(
        master,
        Winsize {
            ws_row: size.height,
            ws_col: size.width,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
}
