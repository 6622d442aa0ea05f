//! One line of `/proc/PID/mountinfo`.
//!
//! Source: man 5 proc_pid_mountinfo. Paths there have space, tab, newline and backslash written as `\040` and so on.

/// A mount as the kernel lists it, its escapes undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// Unique while the mount exists.
    pub mount_id: u64,
    /// The mount this one sits on.
    pub parent_id: u64,
    /// `major:minor` of the file system.
    pub device: String,
    /// The directory of the file system that is mounted.
    pub root: String,
    /// Where it is mounted, seen from the process's root.
    pub mount_point: String,
    /// Options of the mount: `ro`, `nosuid`, …
    pub options: Vec<String>,
    /// Propagation and such: `shared:1`, `master:2`.
    pub optional_fields: Vec<String>,
    /// `ext4`, `overlay`, `cgroup2`, …
    pub file_system: String,
    /// The device, or whatever name the mounter gave.
    pub source: String,
    /// Options of the file system: `size=…`, `lowerdir=…`. A comma that is part of a value is written `\,` by overlayfs.
    pub super_options: String,
}

impl MountInfo {
    /// The value of a `key=value` option of the file system.
    pub fn super_option(&self, key: &str) -> Option<String> {
        split_options(&self.super_options).find_map(|option| {
            option
                .strip_prefix(key)
                .and_then(|rest| rest.strip_prefix('='))
                .map(str::to_owned)
        })
    }
}

/// The options between commas that are not written `\,`.
fn split_options(options: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    options.split(move |letter| {
        let split = letter == ',' && !escaped;
        escaped = letter == '\\' && !escaped;
        split
    })
}

/// One line; `None` if it is not of this form.
pub fn parse_line(line: &str) -> Option<MountInfo> {
    let mut fields = line.trim_end_matches('\n').split(' ');
    let mount_id = fields.next()?.parse().ok()?;
    let parent_id = fields.next()?.parse().ok()?;
    let device = fields.next()?.to_owned();
    let root = unescape(fields.next()?);
    let mount_point = unescape(fields.next()?);
    let options = fields.next()?.split(',').map(str::to_owned).collect();
    let mut optional_fields = Vec::new();
    loop {
        match fields.next()? {
            "-" => break,
            field => optional_fields.push(field.to_owned()),
        }
    }
    Some(MountInfo {
        mount_id,
        parent_id,
        device,
        root,
        mount_point,
        options,
        optional_fields,
        file_system: fields.next()?.to_owned(),
        source: unescape(fields.next()?),
        super_options: unescape(fields.next().unwrap_or_default()),
    })
}

/// All lines of the file; lines of an unknown form are left out.
pub fn parse(content: &str) -> Vec<MountInfo> {
    content.lines().filter_map(parse_line).collect()
}

/// Undoes the kernel's octal escapes (`\040` is a space).
pub fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\'
            && let Some(code) = bytes.get(at + 1..at + 4).and_then(octal)
        {
            out.push(code);
            at += 4;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn octal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(digit - b'0'),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_optional_fields_and_escapes_is_read() {
        let mount = parse_line(
            "36 35 98:0 /a\\040b /mnt\\134x rw,noatime master:1 shared:7 - overlay overlay rw,lowerdir=/l\\0401:/l2,upperdir=/u",
        )
        .unwrap();
        assert_eq!(mount.root, "/a b");
        assert_eq!(mount.mount_point, "/mnt\\x");
        assert_eq!(mount.optional_fields, ["master:1", "shared:7"]);
        assert_eq!(mount.super_option("lowerdir").unwrap(), "/l 1:/l2");
        assert_eq!(mount.super_option("upperdir").unwrap(), "/u");
        assert_eq!(mount.super_option("upper"), None);
    }

    #[test]
    fn a_comma_written_with_a_backslash_does_not_split() {
        let parts: Vec<_> = split_options("rw,lowerdir=/a\\,b:/c,x=1").collect();
        assert_eq!(parts, ["rw", "lowerdir=/a\\,b:/c", "x=1"]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_left_out(text in "\\PC*") {
            let _ = parse(&text);
            let _ = unescape(&text);
        }

        #[test]
        fn escaped_paths_come_back(path in "[ -~]{1,40}") {
            let escaped: String = path.chars().map(|c| match c {
                ' ' | '\\' => format!("\\{:03o}", u32::from(c)),
                c => c.to_string(),
            }).collect();
            proptest::prop_assert_eq!(unescape(&escaped), path);
        }
    }
}
