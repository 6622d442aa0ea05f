//! New file systems: detached mounts of them, made by the calls that tell why they refuse.
//!
//! Source: `man 2 fsopen`, `man 2 fsconfig`, `man 2 fsmount`; kernel overlayfs.rst, lowerdir+.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MountFlags, fsconfig_create,
    fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick,
};

use crate::error::{Error, Result};
use crate::rootfs::mounts::proc_path;

/// Longest value that `fsconfig` takes, in bytes.
const MAX_VALUE_BYTES: usize = 255;

/// What a new file system is made of.
#[derive(Clone, Copy, Debug)]
pub struct NewFilesystem<'a> {
    /// Its type: `tmpfs`.
    pub kind: &'a str,
    /// Its source: a device, or any word.
    pub source: &'a str,
    /// Flags of the file system as a whole.
    pub superblock: &'a [&'static str],
    /// Its own options.
    pub data: &'a [String],
    /// Flags of the mount, `MOUNT_ATTR_*`.
    pub attributes: u64,
    /// Where it is going to be, for what is said.
    pub destination: &'a str,
}

impl NewFilesystem<'_> {
    /// Makes it, detached. [`None`] when an option is too long for the calls that do that: see [`Self::mount_on`].
    ///
    /// # Errors
    /// `Sys`, with the kernel's own words as hint.
    pub fn detached(&self) -> Result<Option<OwnedFd>> {
        let options = self.options();
        if options.iter().any(|option| match option.split_once('=') {
            Some((_, value)) => value.len() > MAX_VALUE_BYTES,
            None => false,
        }) {
            return Ok(None);
        }
        let context = fsopen(self.kind, FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(|errno| self.error(errno, None))?;
        let made = self.configure(context.as_fd(), &options);
        match made {
            // An older kernel does not know them one by one.
            Err(Errno::INVAL) if options.len() > self.data.len() => Ok(None),
            Err(errno) => Err(self.error(errno, Some(&context))),
            Ok(mount) => Ok(Some(mount)),
        }
    }

    fn configure(
        &self,
        context: rustix::fd::BorrowedFd<'_>,
        options: &[String],
    ) -> Result<OwnedFd, Errno> {
        if !self.source.is_empty() {
            fsconfig_set_string(context, "source", self.source)?;
        }
        set_options(context, self.superblock, options)?;
        fsconfig_create(context)?;
        let attributes = u32::try_from(self.attributes).map_err(|_| Errno::INVAL)?;
        fsmount(
            context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::from_bits_retain(attributes),
        )
    }

    /// Its options, with the many layers of an overlay one by one where they are too long together.
    fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        for option in self.data {
            match option.strip_prefix("lowerdir=") {
                Some(layers) if self.kind == "overlay" && layers.len() > MAX_VALUE_BYTES => {
                    options.extend(one_by_one(layers));
                }
                _ => options.push(option.clone()),
            }
        }
        options
    }

    /// Mounts it on an open file by the old call, which takes a page of options.
    ///
    /// # Errors
    /// `Sys`.
    pub fn mount_on(&self, target: impl AsFd, flags: MountFlags) -> Result<()> {
        let mut data = self.superblock.iter().fold(String::new(), |mut all, word| {
            all.push_str(word);
            all.push(',');
            all
        });
        data.push_str(&self.data.join(","));
        let data = crate::process::executable::to_c_string(&data)?;
        rustix::mount::mount(
            self.source,
            proc_path(target),
            self.kind,
            flags,
            data.as_c_str(),
        )
        .map_err(|errno| self.error(errno, None))
    }

    fn error(&self, errno: Errno, context: Option<&OwnedFd>) -> Error {
        let object = format!("{} on {}", self.kind, self.destination);
        let error = Error::sys("mount", object, errno);
        let said = context.map(said).unwrap_or_default();
        if errno == Errno::INVAL && self.kind == "overlay" {
            let said = if said.is_empty() {
                String::new()
            } else {
                format!("; the kernel says: {said}")
            };
            return error.with_hint(format!(
                "lowerdir must exist, upperdir and workdir must be empty or its own, on one file system that is no overlay itself{said}"
            ));
        }
        if !said.is_empty() {
            return error.with_hint(format!("the kernel says: {said}"));
        }
        match errno {
            Errno::NODEV => error.with_hint(format!(
                "the kernel has no file system {:?}; /proc/filesystems lists those it has",
                self.kind
            )),
            Errno::PERM => error.with_hint(
                "in a user namespace only some file systems can be mounted, and those of a namespace only by its owner",
            ),
            Errno::INVAL => error.with_hint(format!(
                "{:?} does not take one of the options, or their values: mounts[].options, dmesg may say which",
                self.kind
            )),
            Errno::NOENT => error.with_hint(
                "mounts[].source, or a path in mounts[].options, does not exist on the host",
            ),
            Errno::NOTBLK => error.with_hint("mounts[].source must be a block device"),
            Errno::BUSY => error.with_hint(
                "it is mounted already with other options, or is in use as another overlay's upperdir or workdir",
            ),
            _ => error,
        }
    }
}

/// Changes the options of the file system that a path of the container leads to: `remount`.
///
/// # Errors
/// `Sys`.
pub fn reconfigure(
    mounted: impl AsFd,
    superblock: &[&'static str],
    data: &[String],
    destination: &str,
) -> Result<()> {
    if superblock.is_empty() && data.is_empty() {
        return Ok(());
    }
    let error = |errno| Error::sys("remount", destination, errno);
    let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
    let context = fspick(mounted, "", flags).map_err(error)?;
    set_options(context.as_fd(), superblock, data)
        .and_then(|()| fsconfig_reconfigure(context.as_fd()))
        .map_err(|errno| {
            let said = said(&context);
            let error = error(errno);
            if said.is_empty() {
                error
            } else {
                error.with_hint(format!("the kernel says: {said}"))
            }
        })
}

fn set_options(
    context: rustix::fd::BorrowedFd<'_>,
    superblock: &[&'static str],
    data: &[String],
) -> Result<(), Errno> {
    for word in superblock {
        fsconfig_set_flag(context, *word)?;
    }
    for option in data {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context, key, value)?,
            None => fsconfig_set_flag(context, option.as_str())?,
        }
    }
    Ok(())
}

/// What the kernel says about a context, without the letter that tells errors from warnings.
fn said(context: &OwnedFd) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0u8; 512];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        let line = line.trim_end();
        lines.push(line.get(2..).unwrap_or(line).to_owned());
    }
    lines.join("; ")
}

/// The layers of an overlay's `lowerdir`, each as an option of its own. `::` before a layer makes it one of data only.
fn one_by_one(layers: &str) -> Vec<String> {
    let mut options = Vec::new();
    let mut layer = String::new();
    let mut key = "lowerdir+";
    let mut rest = layers.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => layer.extend(rest.next()),
            ':' => {
                options.push(format!("{key}={layer}"));
                layer.clear();
                key = "lowerdir+";
                if rest.next_if_eq(&':').is_some() {
                    key = "datadir+";
                }
            }
            other => layer.push(other),
        }
    }
    options.push(format!("{key}={layer}"));
    options
}

/// A device node's file system is read-only as a whole when its mount is: the medium may not be writable at all.
pub fn is_of_a_device(source: &str) -> bool {
    Path::new(source).is_absolute()
        && rustix::fs::statat(CWD, source, rustix::fs::AtFlags::empty()).is_ok_and(|stat| {
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::BlockDevice
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_taken_apart() {
        assert_eq!(
            one_by_one(r"/a:/b\:c::/data"),
            ["lowerdir+=/a", "lowerdir+=/b:c", "datadir+=/data"]
        );
    }

    #[test]
    fn kernel_what_is_refused_is_said_with_the_kernels_reason() {
        let new = |kind, data| NewFilesystem {
            kind,
            source: "x",
            superblock: &[],
            data,
            attributes: 0,
            destination: "/there",
        };
        if !rustix::process::geteuid().is_root() {
            let error = new("tmpfs", &[]).detached().unwrap_err();
            assert!(error.to_string().contains("operation not permitted"));
            return;
        }
        let error = new("nosuchfs", &[]).detached().unwrap_err();
        assert_eq!(
            error.to_string(),
            "mount nosuchfs on /there: no such device"
        );
        assert!(
            error.hint().contains("/proc/filesystems"),
            "{}",
            error.hint()
        );
        let data = ["colour=red".to_owned()];
        let error = new("tmpfs", &data).detached().unwrap_err();
        assert_eq!(error.to_string(), "mount tmpfs on /there: invalid argument");
        assert!(
            error.hint().contains("Unknown parameter 'colour'"),
            "{}",
            error.hint()
        );
    }
}
