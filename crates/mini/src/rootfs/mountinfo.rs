//! `/proc/self/mountinfo`: what is mounted where in this mount namespace.
//!
//! Source: `man 5 proc_pid_mountinfo`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// Which part of its file system is mounted: `/` for the whole, `net:[4026531840]` of a namespace's file.
    pub root: PathBuf,
    /// Where.
    pub mount_point: PathBuf,
    /// The file system's type.
    pub kind: String,
}

/// Reads the table. Lines that are none are left out: a kernel may add fields, never take some away.
pub fn parse(text: &[u8]) -> Vec<MountInfo> {
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<MountInfo> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = path(fields.nth(3)?);
    let mount_point = path(fields.next()?);
    if !mount_point.is_absolute() {
        return None;
    }
    // Optional fields of any number end in a dash.
    fields.find(|field| *field == b"-")?;
    let kind = String::from_utf8_lossy(fields.next()?).into_owned();
    Some(MountInfo {
        root,
        mount_point,
        kind,
    })
}

/// A path with what the kernel writes as an octal number (`\040` for a space) put back.
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'))
            }
            _ => None,
        };
        if let Some(byte) = octal {
            bytes.push(byte);
            rest = rest.get(4..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_a_kernel_are_read() {
        let text = b"23 27 0:22 / /sys rw,relatime shared:7 master:2 - sysfs sysfs rw\n\
            36 35 98:0 /mnt1 /a\\040b\\134 rw - ext4 /dev/root rw,errors=continue\n\nrubbish\n";
        let found = parse(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].kind, "sysfs");
        assert_eq!(found[1].root, PathBuf::from("/mnt1"));
        assert_eq!(found[1].mount_point, PathBuf::from("/a b\\"));
    }

    #[test]
    fn this_machines_own_table_is_read() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        let lines = text.split(|byte| *byte == b'\n').count() - 1;
        let found = parse(&text);
        assert_eq!(found.len(), lines);
        assert!(found.iter().any(|mount| mount.kind == "proc"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left_out(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(parse(&bytes).len() <= lines);
        }

        #[test]
        fn any_path_is_read_back(name in "[ -~]{0,20}") {
            let escaped: String = name.chars().map(|character| match character {
                ' ' | '\\' => format!("\\{:03o}", u32::from(character)),
                other => other.to_string(),
            }).collect();
            let text = format!("1 2 0:1 / /{escaped} rw shared:1 - tmpfs none rw\n");
            let found = parse(text.as_bytes());
            prop_assert_eq!(&found[0].mount_point, &PathBuf::from(format!("/{name}")));
        }
    }
}
