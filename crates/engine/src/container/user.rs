//! Who a container's program runs as: `User` and `GroupAdd` looked up in the files of its own root file system.
//!
//! The files are a stranger's: they are opened beneath the root by the kernel (a link in the image leads to another file
//! of the image, never of the host), only plain files are read, and only so much of them.
//!
//! Source: man 5 passwd, group; moby/sys user (what the forms of `User` mean and its words for what is not there).

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read as _},
    os::fd::BorrowedFd,
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2},
    io::Errno,
};

use crate::error::{EngineError, Result};

/// Most bytes of one of the files that are read.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The largest id that Docker takes. The kernel's are unsigned, but many programs hold them in signed numbers.
const MAX_ID: u32 = i32::MAX as u32;
/// Most additional groups that the kernel takes for one process (`NGROUPS_MAX`).
const MAX_GROUPS: usize = 65_536;

/// A user of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// User id.
    pub(crate) uid: u32,
    /// Group id.
    pub(crate) gid: u32,
    /// All groups, that one among them, in ascending order.
    pub(crate) additional_gids: Vec<u32>,
    /// For `HOME`.
    pub(crate) home: String,
}

/// A line of `/etc/passwd`, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PasswdEntry {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// A line of `/etc/group`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GroupEntry {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Returns the user that `user` (`name`, `uid`, either with `:group` or `:gid`, or nothing) means in the root file system
/// `rootfs`, with the groups of `group_add`. A number without a line in the files is that number.
///
/// # Errors
/// `Invalid`, in Docker's words, for a name without a line and a number that is no id; `Internal` when a file is there
/// but cannot be read.
pub(crate) fn resolve(rootfs: BorrowedFd<'_>, user: &str, group_add: &[String]) -> Result<User> {
    let passwd = entries(rootfs, "etc/passwd", passwd_entry)?;
    let group = entries(rootfs, "etc/group", group_entry)?;
    resolve_in(&passwd, &group, user, group_add)
}

fn resolve_in(
    passwd: &[PasswdEntry],
    groups: &[GroupEntry],
    user: &str,
    group_add: &[String],
) -> Result<User> {
    let (user_part, group_part) = user.split_once(':').unwrap_or((user, ""));
    // Without a wish it is root, whatever the file calls it. A number is always an id, also where a name looks like it.
    let wanted_uid = if user_part.is_empty() {
        Some(0)
    } else {
        id(user_part)?
    };
    let entry = passwd.iter().find(|entry| match wanted_uid {
        Some(uid) => entry.uid == uid,
        None => entry.name == user_part,
    });
    let uid = match (entry, wanted_uid) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) => uid,
        (None, None) => {
            return Err(EngineError::Invalid(format!(
                "unable to find user {user_part}: no matching entries in passwd file"
            )));
        }
    };
    let mut additional = BTreeSet::new();
    let gid = if group_part.is_empty() {
        // The groups that list the user. One that was given by its number alone, and has no line, is in none.
        if let Some(entry) = entry {
            let listing = groups
                .iter()
                .filter(|group| group.members.contains(&entry.name));
            additional.extend(listing.map(|group| group.gid));
        }
        entry.map_or(0, |entry| entry.gid)
    } else {
        group_id(groups, group_part)?
    };
    // Its own group too: a set-gid program must not shed what that group is kept out of (GHSA-rc4r-wh2q-q6c4 of moby).
    additional.insert(gid);
    for group in group_add {
        additional.insert(group_id(groups, group)?);
    }
    if additional.len() > MAX_GROUPS {
        return Err(EngineError::Invalid(format!(
            "user {user_part} is in more than {MAX_GROUPS} groups"
        )));
    }
    Ok(User {
        uid,
        gid,
        additional_gids: additional.into_iter().collect(),
        home: entry
            .map(|entry| entry.home.clone())
            .filter(|home| !home.is_empty())
            .unwrap_or_else(|| "/".to_owned()),
    })
}

/// The group of a name or number.
fn group_id(groups: &[GroupEntry], wanted: &str) -> Result<u32> {
    if let Some(number) = id(wanted)? {
        return Ok(number);
    }
    groups
        .iter()
        .find(|group| group.name == wanted)
        .map(|group| group.gid)
        .ok_or_else(|| {
            EngineError::Invalid(format!(
                "unable to find group {wanted}: no matching entries in group file"
            ))
        })
}

/// The id that a text is; `None` when it is a name.
fn id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    // CVE-2024-40635: a number that does not fit must never wrap around, to root or anyone else.
    match text.parse::<u32>() {
        Ok(number) if number <= MAX_ID => Ok(Some(number)),
        _ => Err(EngineError::Invalid(
            "uids and gids must be in range 0-2147483647".to_owned(),
        )),
    }
}

/// The lines of a file that are entries; none when there is no such file.
fn entries<T>(
    rootfs: BorrowedFd<'_>,
    path: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    let Some(file) = open(rootfs, path)? else {
        return Ok(Vec::new());
    };
    let read = |error| EngineError::internal("read", format!("/{path} of the container"), error);
    let mut lines = BufReader::new(file.take(MAX_FILE_BYTES));
    let (mut found, mut line) = (Vec::new(), Vec::new());
    while lines.read_until(b'\n', &mut line).map_err(read)? > 0 {
        // What is not UTF-8 cannot be asked for.
        if let Some(entry) = std::str::from_utf8(&line)
            .ok()
            .and_then(|line| parse(line.trim()))
        {
            found.push(entry);
        }
        line.clear();
    }
    Ok(found)
}

fn open(rootfs: BorrowedFd<'_>, path: &str) -> Result<Option<File>> {
    // A FIFO in the place of the file must not hold up the engine.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let failed = |errno| EngineError::internal("open", format!("/{path} of the container"), errno);
    let opened = loop {
        match openat2(rootfs, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => break other,
        }
    };
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::XDEV) => {
            return Ok(None);
        }
        Err(errno) => return Err(failed(errno)),
    };
    let stat = fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    Ok(Some(File::from(file)))
}

/// `name:password:uid:gid:comment:home:shell`; what is missing at the end, and ids that are none, are nothing.
fn passwd_entry(line: &str) -> Option<PasswdEntry> {
    let mut fields = fields(line)?;
    let name = fields.next()?.to_owned();
    let mut fields = fields.skip(1);
    Some(PasswdEntry {
        name,
        uid: entry_id(fields.next()?)?,
        gid: entry_id(fields.next()?)?,
        home: fields.nth(1).unwrap_or_default().to_owned(),
    })
}

/// `name:password:gid:member,member`
fn group_entry(line: &str) -> Option<GroupEntry> {
    let mut fields = fields(line)?;
    let name = fields.next()?.to_owned();
    let mut fields = fields.skip(1);
    Some(GroupEntry {
        name,
        gid: entry_id(fields.next()?)?,
        members: fields
            .next()
            .unwrap_or_default()
            .split(',')
            .filter(|member| !member.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

fn fields(line: &str) -> Option<std::str::Split<'_, char>> {
    (!line.is_empty() && !line.starts_with('#')).then(|| line.split(':'))
}

/// An id in a file. A line with something else is no entry: it must not stand for id 0.
fn entry_id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .filter(|id| *id <= MAX_ID)
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsFd as _, unix::fs::symlink};

    use proptest::prelude::*;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\n\nbroken\nevil:x:4294967296:0::/:\nodd:x:abc:0::/:\n\
        web:x:33:33:Web:/var/www:/bin/sh\nshort:x:7:8\ndouble:x:33:1::/other:\n12345:x:77:78::/num:\n";
    const GROUP: &str =
        "root:x:0:\nwww:x:33:\nlog:x:4:web,short\nadmin:x:27:short,web\ndisk:x:6:\n12:x:99:\n";

    fn rootfs() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), PASSWD).unwrap();
        std::fs::write(dir.path().join("etc/group"), GROUP).unwrap();
        dir
    }

    fn in_root(dir: &tempfile::TempDir, user: &str, group_add: &[&str]) -> Result<User> {
        let root = File::open(dir.path()).unwrap();
        let groups: Vec<String> = group_add.iter().map(ToString::to_string).collect();
        resolve(root.as_fd(), user, &groups)
    }

    fn brief(user: &str, group_add: &[&str]) -> (u32, u32, Vec<u32>, String) {
        let user = in_root(&rootfs(), user, group_add).unwrap();
        (user.uid, user.gid, user.additional_gids, user.home)
    }

    #[test]
    fn all_forms_are_understood() {
        let home = |text: &str| text.to_owned();
        for user in ["", "root", "0", "+0"] {
            assert_eq!(brief(user, &[]), (0, 0, vec![0], home("/root")), "{user:?}");
        }
        for user in ["web", "33"] {
            assert_eq!(
                brief(user, &[]),
                (33, 33, vec![4, 27, 33], home("/var/www"))
            );
        }
        assert_eq!(brief("web:log", &[]), (33, 4, vec![4], home("/var/www")));
        assert_eq!(brief("33:6", &[]), (33, 6, vec![6], home("/var/www")));
        assert_eq!(brief("1000", &[]), (1000, 0, vec![0], home("/")));
        assert_eq!(brief("1000:2000", &[]), (1000, 2000, vec![2000], home("/")));
        assert_eq!(brief(":log", &[]), (0, 4, vec![4], home("/root")));
        assert_eq!(brief("short", &[]), (7, 8, vec![4, 8, 27], home("/")));
        let groups = vec![4, 6, 27, 33, 1234];
        assert_eq!(
            brief("web", &["disk", "1234", "4"]),
            (33, 33, groups, home("/var/www"))
        );
        // A number is an id, even where a user or group is called so.
        assert_eq!(brief("12345:12", &[]), (12345, 12, vec![12], home("/")));
        assert_eq!(brief("2147483647", &[]).0, 2_147_483_647);
    }

    #[test]
    fn what_is_not_there_is_said_in_dockers_words() {
        let message =
            |user: &str, groups: &[&str]| in_root(&rootfs(), user, groups).unwrap_err().to_string();
        assert_eq!(
            message("nosuchuser", &[]),
            "unable to find user nosuchuser: no matching entries in passwd file"
        );
        assert_eq!(
            message("web:nosuch", &[]),
            "unable to find group nosuch: no matching entries in group file"
        );
        assert_eq!(
            message("web", &["nosuch"]),
            "unable to find group nosuch: no matching entries in group file"
        );
        // Lines that are damaged stand for nobody.
        for user in ["evil", "odd", "broken"] {
            assert!(
                message(user, &[]).starts_with("unable to find user"),
                "{user}"
            );
        }
    }

    #[test]
    fn numbers_never_wrap_around() {
        for number in [
            "2147483648",
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "-1",
            "-0x",
        ] {
            let user = in_root(&rootfs(), number, &[]);
            assert!(user.is_err(), "{number}: {user:?}");
            assert!(in_root(&rootfs(), &format!("0:{number}"), &[]).is_err());
            assert!(in_root(&rootfs(), "0", &[number]).is_err());
        }
    }

    #[test]
    fn without_files_numbers_are_numbers() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            in_root(&dir, "12:13", &["14"]).unwrap().additional_gids,
            [13, 14]
        );
        assert_eq!(in_root(&dir, "", &[]).unwrap().home, "/");
        assert!(in_root(&dir, "root", &[]).is_err());
    }

    #[test]
    fn the_hosts_files_are_out_of_reach() {
        let dir = tempfile::tempdir().unwrap();
        let host = tempfile::tempdir().unwrap();
        std::fs::write(host.path().join("passwd"), "mallory:x:0:0::/:\n").unwrap();
        let etc = dir.path().join("etc");
        let tries: [(&str, &dyn Fn()); 3] = [
            ("link to a directory", &|| {
                symlink(host.path(), &etc).unwrap();
            }),
            ("relative link", &|| {
                std::fs::create_dir(&etc).unwrap();
                let up = format!("../../../../../..{}/passwd", host.path().display());
                symlink(up, etc.join("passwd")).unwrap();
            }),
            ("descriptor", &|| {
                std::fs::create_dir(&etc).unwrap();
                symlink("/proc/self/root/etc/passwd", etc.join("passwd")).unwrap();
            }),
        ];
        for (name, make) in tries {
            make();
            assert!(in_root(&dir, "mallory", &[]).is_err(), "{name}");
            assert!(in_root(&dir, "daemon", &[]).is_err(), "{name}");
            drop(std::fs::remove_dir_all(&etc));
            drop(std::fs::remove_file(&etc));
        }
        // A link within the image is fine.
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(dir.path().join("users"), "inside:x:5:6::/:\n").unwrap();
        symlink("/users", etc.join("passwd")).unwrap();
        assert_eq!(in_root(&dir, "inside", &[]).unwrap().uid, 5);
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        std::fs::create_dir_all(etc.join("group")).unwrap();
        let fifo = FileType::Fifo;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            etc.join("passwd"),
            fifo,
            Mode::from(0o644),
            0,
        )
        .unwrap();
        assert_eq!(in_root(&dir, "3", &["4"]).unwrap().uid, 3);
    }

    #[test]
    fn an_endless_file_is_read_so_far() {
        let dir = rootfs();
        let passwd = File::options()
            .append(true)
            .open(dir.path().join("etc/passwd"))
            .unwrap();
        passwd.set_len(1 << 40).unwrap();
        assert_eq!(in_root(&dir, "web", &[]).unwrap().uid, 33);
        assert!(in_root(&dir, "nobody", &[]).is_err());
    }

    proptest! {
        #[test]
        fn entries_are_read_as_they_were_written(
            name in "[a-z_][a-z0-9_-]{0,20}", uid in 0..=MAX_ID, gid in 0..=MAX_ID, home in "(/[a-z]{1,8}){0,3}",
            members in proptest::collection::vec("[a-z]{1,8}", 0..4),
        ) {
            let passwd = passwd_entry(&format!("{name}:x:{uid}:{gid}:any:{home}:/bin/sh")).unwrap();
            prop_assert_eq!(&passwd, &PasswdEntry { name: name.clone(), uid, gid, home });
            let group = group_entry(&format!("{name}:x:{gid}:{}", members.join(","))).unwrap();
            prop_assert_eq!(group, GroupEntry { name, gid, members });
        }

        #[test]
        fn no_line_and_no_wish_breaks_the_parsers(line in ".{0,80}", user in ".{0,40}") {
            let passwd: Vec<_> = passwd_entry(&line).into_iter().collect();
            let groups: Vec<_> = group_entry(&line).into_iter().collect();
            if let Ok(user) = resolve_in(&passwd, &groups, &user, &[]) {
                prop_assert!(user.uid <= MAX_ID && user.gid <= MAX_ID);
            }
        }

        #[test]
        fn a_user_is_root_only_when_that_was_asked_for(user in "[a-z0-9+:-]{1,12}") {
            let passwd = [PasswdEntry { name: "root".into(), uid: 0, gid: 0, home: "/root".into() }];
            if let Ok(found) = resolve_in(&passwd, &[], &user, &[]) {
                let part = user.split(':').next().unwrap();
                let zero = part.trim_start_matches(['+', '-']).chars().all(|c| c == '0');
                prop_assert!(found.uid != 0 || part == "root" || zero, "{:?}", user);
            }
        }
    }
}
