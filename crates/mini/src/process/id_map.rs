//! The ids of a user namespace: which of ours they are, checked before the kernel is asked, and written to a process that
//! waits for them.
//!
//! Source: `man 7 user_namespaces`; kernel/user_namespace.c, `map_write`.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use sys::namespace::Namespaces;
use sys::process::{Child, CloneOptions, clone3};

use crate::error::{Error, Result};
use crate::process::map_program;
use crate::process::spawn::end;
use crate::spec::IdMapping;

/// As many ranges as the kernel takes, since Linux 4.15.
pub const MAX_RANGES: usize = 340;

/// Longest text of a map in bytes: the kernel takes less than a page, in one write.
const MAX_TEXT_BYTES: usize = 4095;

/// Whose ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// Users.
    User,
    /// Groups.
    Group,
}

impl IdKind {
    /// The file below `/proc/PID`.
    pub fn file(self) -> &'static str {
        match self {
            Self::User => "uid_map",
            Self::Group => "gid_map",
        }
    }

    /// The list in `config.json`.
    pub fn list(self) -> &'static str {
        match self {
            Self::User => "linux.uidMappings",
            Self::Group => "linux.gidMappings",
        }
    }
}

/// Checks ranges as the kernel would, which answers `EINVAL` to all that is wrong with them.
///
/// # Errors
/// `Invalid`, with the list's name and the range.
pub fn check(name: &str, ranges: &[IdMapping]) -> Result<()> {
    if ranges.is_empty() {
        return Err(
            Error::invalid(format!("{name} is empty: a user namespace needs ids"))
                .with_hint("give uidMappings and gidMappings, each with at least one range"),
        );
    }
    if ranges.len() > MAX_RANGES {
        return Err(Error::invalid(format!(
            "{name} has {} ranges; the kernel takes {MAX_RANGES}",
            ranges.len()
        ))
        .with_hint("join ranges that follow each other"));
    }
    for (index, range) in ranges.iter().enumerate() {
        if range.size == 0 {
            return Err(Error::invalid(format!(
                "{name}[{index}]: size is 0; a range has at least one id"
            )));
        }
        // 4294967295 is no id: it means "leave as it is" to many system calls.
        for (side, first) in [
            ("containerID", range.container_id),
            ("hostID", range.host_id),
        ] {
            if u64::from(first) + u64::from(range.size) > u64::from(u32::MAX) {
                return Err(Error::invalid(format!(
                    "{name}[{index}]: {side} {first} with size {} ends above the last id, 4294967294",
                    range.size
                )).with_hint("make the range smaller"));
            }
        }
    }
    refuse_overlap(name, "containerID", ranges, |range| range.container_id)?;
    refuse_overlap(name, "hostID", ranges, |range| range.host_id)?;
    if text(ranges).len() > MAX_TEXT_BYTES {
        return Err(Error::invalid(format!(
            "{name} is longer than the {MAX_TEXT_BYTES} bytes that the kernel takes"
        )));
    }
    Ok(())
}

fn refuse_overlap(
    name: &str,
    side: &str,
    ranges: &[IdMapping],
    first: impl Fn(&IdMapping) -> u32,
) -> Result<()> {
    let mut spans: Vec<(u32, u32, usize)> = ranges
        .iter()
        .enumerate()
        .map(|(index, range)| (first(range), range.size, index))
        .collect();
    spans.sort_unstable();
    for pair in spans.windows(2) {
        if let [(start, size, index), (next, _, other)] = *pair
            && u64::from(start) + u64::from(size) > u64::from(next)
        {
            return Err(Error::invalid(format!(
                "{name}[{index}] and [{other}] overlap: both have {side} {next}"
            ))
            .with_hint("each id may be in one range only"));
        }
    }
    Ok(())
}

/// The id outside that an id inside is; [`None`] for one that is not mapped.
pub fn to_host(ranges: &[IdMapping], id: u32) -> Option<u32> {
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.container_id)?;
        (offset < range.size).then(|| range.host_id.checked_add(offset))?
    })
}

/// The ranges as the kernel reads them.
pub fn text(ranges: &[IdMapping]) -> String {
    let mut text = String::new();
    for range in ranges {
        let numbers = [range.container_id, range.host_id, range.size].map(|id| id.to_string());
        text += &numbers.join(" ");
        text.push('\n');
    }
    text
}

/// Ranges from the text of `/proc/PID/uid_map`; [`None`] when it is none.
pub fn parse(text: &str) -> Option<Vec<IdMapping>> {
    text.lines()
        .map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
            let mut next = || numbers.next()?.ok();
            let range = IdMapping {
                container_id: next()?,
                host_id: next()?,
                size: next()?,
            };
            numbers.next().is_none().then_some(range)
        })
        .collect()
}

/// Gives a process that waits in a new user namespace its ids.
///
/// Whoever has no right to give them asks newuidmap and newgidmap, which know what `/etc/subuid` and `/etc/subgid` permit.
///
/// # Errors
/// `Sys` with what the kernel or those programs said.
pub fn write(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    let privileged = rustix::process::geteuid().is_root();
    let group_alone = only_own(gids, rustix::process::getegid().as_raw());
    if !privileged && group_alone {
        // Else a group that is there to refuse something could be left.
        write_file(pid, "setgroups", "deny")
            .map_err(|errno| Error::sys("deny", format!("setgroups of process {pid}"), errno))?;
    }
    write_map(pid, IdKind::User, uids, privileged)?;
    write_map(pid, IdKind::Group, gids, privileged)
}

/// One id, and that ours: the kernel permits it to everybody.
pub fn only_own(ranges: &[IdMapping], own: u32) -> bool {
    matches!(ranges, [range] if range.size == 1 && range.host_id == own)
}

fn write_map(pid: i32, kind: IdKind, ranges: &[IdMapping], privileged: bool) -> Result<()> {
    let own = match kind {
        IdKind::User => rustix::process::geteuid().as_raw(),
        IdKind::Group => rustix::process::getegid().as_raw(),
    };
    if privileged || only_own(ranges, own) {
        match write_file(pid, kind.file(), &text(ranges)) {
            // Root without the capability, or in a user namespace that lacks these ids.
            Err(Errno::PERM) => {}
            outcome => {
                return outcome.map_err(|errno| {
                    Error::sys("write", format!("/proc/{pid}/{}", kind.file()), errno)
                });
            }
        }
    }
    map_program::run(pid, kind, ranges)
}

/// In one write, as the kernel demands.
fn write_file(pid: i32, name: &str, value: &str) -> Result<(), Errno> {
    let file = rustix::fs::open(
        format!("/proc/{pid}/{name}"),
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    match rustix::io::write(&file, value.as_bytes())? {
        length if length == value.len() => Ok(()),
        _ => Err(Errno::IO),
    }
}

/// A new user namespace that has these ids and no process: what a mount takes to show its files with other owners.
///
/// # Errors
/// `Invalid` for ranges that are none, `Sys` from the kernel; `EBUSY` in it when this process has threads.
///
/// Source: `man 2 mount_setattr`, `MOUNT_ATTR_IDMAP`.
pub fn user_namespace_for(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    check("uidMappings", uids)?;
    check("gidMappings", gids)?;
    let (ours, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| Error::sys("socketpair", "", errno))?;
    let options = CloneOptions {
        namespaces: Some(Namespaces::USER),
        ..CloneOptions::default()
    };
    let child = clone3(options).map_err(|error| refused_clone(&error))?;
    let Some(child) = child else {
        drop(ours);
        // Nothing is ever sent: this ends with the other end, should the parent be killed.
        while let Err(Errno::INTR) = rustix::net::recv(&theirs, &mut [0u8; 1], RecvFlags::empty()) {
        }
        sys::process::exit_now(0)
    };
    drop(theirs);
    let namespace = write(child.pid, uids, gids).and_then(|()| open_namespace(&child));
    end(&child.pidfd);
    namespace
}

fn open_namespace(child: &Child) -> Result<OwnedFd> {
    let path = format!("/proc/{}/ns/user", child.pid);
    let open = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    open.map_err(|errno| Error::sys("open", &path, errno))
}

/// What it means that a process in a new user namespace cannot be made.
pub(crate) fn refused_clone(error: &std::io::Error) -> Error {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    let error = Error::sys("clone3", "with a new user namespace", errno);
    match errno {
        Errno::NOSPC | Errno::USERS => error.with_hint(
            "/proc/sys/user/max_user_namespaces is reached (0 turns user namespaces off)",
        ),
        Errno::PERM => error.with_hint(
            "this system does not let this user make user namespaces: see kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns, and the system call filter this program runs under",
        ),
        Errno::INVAL => error.with_hint("the kernel may have been built without user namespaces"),
        _ => error,
    }
}

/// The user's and the group's ids of a running process's user namespace.
///
/// # Errors
/// `Sys` when it is gone, `Invalid` when its maps are none.
pub fn of_process(process: &str) -> Result<(Vec<IdMapping>, Vec<IdMapping>)> {
    let read = |kind: IdKind| {
        let path = format!("/proc/{process}/{}", kind.file());
        let text =
            std::fs::read_to_string(&path).map_err(|error| Error::sys("read", &path, error))?;
        // The machine's own has one range with all ids, which is no valid map to write.
        parse(&text).ok_or_else(|| Error::invalid(format!("{path} is not a map of ids")))
    };
    Ok((read(IdKind::User)?, read(IdKind::Group)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping {
            container_id,
            host_id,
            size,
        }
    }

    #[test]
    fn what_the_kernel_would_refuse_is_named() {
        for (ranges, words) in [
            (vec![], "is empty"),
            (vec![range(0, 1, 0)], "size is 0"),
            (vec![range(0, u32::MAX, 1)], "hostID 4294967295"),
            (vec![range(u32::MAX - 5, 0, 6)], "containerID 4294967290"),
            (
                vec![range(0, 1000, 10), range(9, 5000, 1)],
                "[0] and [1] overlap: both have containerID 9",
            ),
            (
                vec![range(0, 1000, 10), range(10, 995, 6)],
                "[1] and [0] overlap: both have hostID 1000",
            ),
            (
                (0..341).map(|id| range(id, id, 1)).collect(),
                "341 ranges; the kernel takes 340",
            ),
            (
                (0..300)
                    .map(|id| range(4_000_000 + id, 8_000_000 + id, 1))
                    .collect(),
                "longer than the 4095 bytes",
            ),
        ] {
            let error = check("linux.uidMappings", &ranges).unwrap_err().to_string();
            assert!(
                error.starts_with("linux.uidMappings") && error.contains(words),
                "{error}"
            );
        }
        check("x", &[range(0, 0, u32::MAX)]).unwrap();
        check("x", &[range(0, 1000, 1), range(1, 100_000, 65_536)]).unwrap();
    }

    #[test]
    fn one_id_of_our_own_needs_no_permission() {
        assert!(only_own(&[range(0, 7, 1)], 7));
        assert!(only_own(&[range(5, 7, 1)], 7));
        assert!(!only_own(&[range(0, 7, 2)], 7));
        assert!(!only_own(&[range(0, 8, 1)], 7));
        assert!(!only_own(&[range(0, 7, 1), range(1, 8, 1)], 7));
    }

    #[test]
    fn this_process_has_maps() {
        let (uids, gids) = of_process("self").unwrap();
        assert!(!uids.is_empty() && !gids.is_empty());
        assert!(of_process("0").is_err());
    }

    proptest! {
        #[test]
        fn text_reads_back(ranges in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>()), 0..20)) {
            let ranges: Vec<_> = ranges.into_iter().map(|(a, b, c)| range(a, b, c)).collect();
            let back = parse(&text(&ranges)).unwrap();
            prop_assert_eq!(text(&back), text(&ranges));
        }

        #[test]
        fn any_text_is_a_map_or_none(words in "[-+0-9 \t\na]{0,60}") {
            if let Some(ranges) = parse(&words) {
                let count = words.lines().count();
                prop_assert_eq!(ranges.len(), count);
            }
        }

        /// In what passes, no id has two meanings, in either direction: tried for ids at the edges of every range.
        #[test]
        fn checked_ranges_map_each_id_once(
            ranges in prop::collection::vec((0u32..60, 0u32..60, 0u32..12), 1..7)
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(a, b, c)| range(a, b, c)).collect();
            let inside = |id: u32, first: u32, size: u32| id >= first && id - first < size;
            let once = (0..80u32).all(|id| {
                ranges.iter().filter(|range| inside(id, range.container_id, range.size)).count() <= 1
                    && ranges.iter().filter(|range| inside(id, range.host_id, range.size)).count() <= 1
            });
            let whole = ranges.iter().all(|range| range.size > 0);
            prop_assert_eq!(check("x", &ranges).is_ok(), once && whole);
            for range in &ranges {
                if range.size > 0 && once {
                    prop_assert_eq!(to_host(&ranges, range.container_id), Some(range.host_id));
                    let last = range.size - 1;
                    prop_assert_eq!(to_host(&ranges, range.container_id + last), Some(range.host_id + last));
                }
            }
        }
    }
}
