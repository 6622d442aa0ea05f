//! Mounts of a container, and the layers of its root.

use std::path::Path;

use cgroups::mountinfo::{self, MountInfo};

use crate::inside::{Fact, Layer, Mount};
use crate::linux::proc;

/// At most so many files are counted for the size of the writable layer.
const MAX_COUNTED_FILES: usize = 20_000;

pub(super) fn mounts(pid: u32) -> Fact<Vec<Mount>> {
    let read = proc::read(pid, "mountinfo")
        .map(|content| mountinfo::parse(&content).into_iter().map(mount).collect())
        .map_err(|error| proc::words(&error));
    Fact::of_file(format!("/proc/{pid}/mountinfo"), read)
}

fn mount(info: MountInfo) -> Mount {
    let propagation = info
        .optional_fields
        .iter()
        .find_map(|field| match field.split(':').next() {
            Some("shared") => Some("shared"),
            Some("master") => Some("slave"),
            Some("unbindable") => Some("unbindable"),
            _ => None,
        })
        .unwrap_or("private");
    let read_only = info.options.iter().any(|option| option == "ro")
        || info.super_options.split(',').next() == Some("ro");
    Mount {
        target: info.mount_point,
        source: info.source,
        root: info.root,
        file_system: info.file_system,
        options: info.options,
        propagation: propagation.to_owned(),
        read_only,
    }
}

/// The mount that is the container's `/`: of several the last one is on top.
pub(super) fn root(mounts: &[Mount]) -> Option<&Mount> {
    mounts.iter().rfind(|mount| mount.target == "/")
}

/// Paths of `/proc` and `/sys` that are masked, and those that are only readable.
pub(super) fn hidden(mounts: &[Mount]) -> (Vec<String>, Vec<String>) {
    let mut masked = Vec::new();
    let mut read_only = Vec::new();
    for mount in mounts {
        let special = ["/proc/", "/sys/"]
            .iter()
            .any(|prefix| mount.target.starts_with(prefix));
        if !special || mount.target.starts_with("/sys/fs/cgroup") {
            continue;
        }
        // Directories are hidden behind an empty tmpfs, files behind /dev/null.
        let null = mount.root == "/null";
        if null || (mount.file_system == "tmpfs" && mount.read_only) {
            masked.push(mount.target.clone());
        } else if mount.read_only && matches!(mount.file_system.as_str(), "proc" | "sysfs") {
            read_only.push(mount.target.clone());
        }
    }
    (masked, read_only)
}

pub(super) fn layers(pid: u32) -> Fact<Vec<Layer>> {
    let file = format!("/proc/{pid}/mountinfo");
    let command = format!("grep ' / / ' {file}");
    let read = proc::read(pid, "mountinfo")
        .map_err(|error| proc::words(&error))
        .map(|content| {
            mountinfo::parse(&content)
                .into_iter()
                .rfind(|mount| mount.mount_point == "/")
                .filter(|mount| mount.file_system == "overlay")
                .map(|mount| overlay_layers(&mount.super_options))
                .unwrap_or_default()
        })
        .map(|mut layers| {
            for layer in &mut layers {
                // Docker's short names are links; the real directory says more.
                if let Ok(real) = std::fs::canonicalize(&layer.directory) {
                    layer.directory = real.to_string_lossy().into_owned();
                }
                if layer.writable {
                    layer.size_bytes = size(Path::new(&layer.directory));
                }
            }
            layers
        });
    Fact::with_command(file, command, read)
}

/// Upper directory first, then the lower ones, topmost first. Source: kernel overlayfs.rst.
fn overlay_layers(options: &str) -> Vec<Layer> {
    let mut upper = None;
    let mut lower = Vec::new();
    for option in split(options, ',') {
        let Some((key, value)) = option.split_once('=') else {
            continue;
        };
        match key {
            "upperdir" => upper = Some(unescape(value)),
            "lowerdir" => lower.extend(
                split(value, ':')
                    .into_iter()
                    .filter(|path| !path.is_empty())
                    .map(unescape),
            ),
            // One option a layer, as the new mount interface has it.
            "lowerdir+" | "datadir+" => lower.push(unescape(value)),
            _ => {}
        }
    }
    let layer = |directory: String, writable| Layer {
        directory,
        writable,
        size_bytes: None,
    };
    // Docker mounts with paths relative to the directory above all layers, to stay below the kernel's limit of one page.
    let base = upper
        .as_deref()
        .and_then(|path| Path::new(path).parent()?.parent())
        .map(Path::to_owned);
    let absolute = |path: String| match &base {
        Some(base) if !path.starts_with('/') => base.join(path).to_string_lossy().into_owned(),
        _ => path,
    };
    upper
        .clone()
        .map(|path| layer(path, true))
        .into_iter()
        .chain(lower.into_iter().map(|path| layer(absolute(path), false)))
        .collect()
}

/// The parts between separators that have no backslash before them.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        if letter == separator && !escaped {
            parts.extend(text.get(start..at));
            start = at + letter.len_utf8();
        }
        escaped = letter == '\\' && !escaped;
    }
    parts.extend(text.get(start..));
    parts
}

/// Takes off the backslashes that overlayfs wants before `:`, `,` and `\`.
fn unescape(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            out.extend(letters.next());
        } else {
            out.push(letter);
        }
    }
    out
}

/// What a directory takes on disk; `None` when it has too many files to count, or cannot be read.
fn size(directory: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut blocks = 0_u64;
    let mut counted = 0_usize;
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).ok()? {
            let entry = entry.ok()?;
            counted += 1;
            if counted > MAX_COUNTED_FILES {
                return None;
            }
            // Not through links: what they point to is not in this layer.
            let Ok(metadata) = entry.path().symlink_metadata() else {
                continue;
            };
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                blocks += metadata.blocks();
            }
        }
    }
    Some(blocks * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directories(options: &str) -> Vec<String> {
        overlay_layers(options)
            .into_iter()
            .map(|layer| layer.directory)
            .collect()
    }

    #[test]
    fn layers_topmost_first_with_escapes_undone() {
        assert_eq!(
            directories("rw,lowerdir=/l/a\\:b:/l/c,upperdir=/u\\,x/diff,workdir=/w"),
            ["/u,x/diff", "/l/a:b", "/l/c"]
        );
        assert_eq!(
            directories("rw,lowerdir+=/l/1,lowerdir+=/l/2,upperdir=/u/3/fs"),
            ["/u/3/fs", "/l/1", "/l/2"]
        );
        assert_eq!(
            directories("rw,lowerdir=l/AAA:l/BBB,upperdir=/var/overlay2/id/diff"),
            [
                "/var/overlay2/id/diff",
                "/var/overlay2/l/AAA",
                "/var/overlay2/l/BBB"
            ]
        );
        assert!(!overlay_layers("ro,lowerdir=/a:/b")[0].writable);
    }

    #[test]
    fn masked_and_read_only_paths_are_told_apart() {
        let lines = "1 0 0:1 / /proc rw - proc proc rw\n\
                     2 1 0:2 /null /proc/kcore rw - devtmpfs udev rw\n\
                     3 1 0:3 / /proc/acpi ro - tmpfs tmpfs ro\n\
                     4 1 0:1 /sys /proc/sys ro - proc proc rw\n";
        let mounts: Vec<Mount> = mountinfo::parse(lines).into_iter().map(mount).collect();
        let (masked, read_only) = hidden(&mounts);
        assert_eq!(masked, ["/proc/kcore", "/proc/acpi"]);
        assert_eq!(read_only, ["/proc/sys"]);
    }

    proptest::proptest! {
        #[test]
        fn any_options_are_read_without_panic(text in "\\PC*") {
            let _ = overlay_layers(&text);
        }
    }
}
