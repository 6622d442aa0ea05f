//! Options of the `local` driver: `type`, `device` and `o`, as for `mount`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;

use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change, mount_remount,
};

use crate::error::{EngineError, Result};

/// File systems that need a program of their own to be mounted, or an address to be looked up.
const UNSUPPORTED_TYPES: [&str; 4] = ["nfs", "nfs4", "cifs", "smb3"];

/// What is mounted on a volume's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountSpec {
    source: String,
    kind: String,
    flags: MountFlags,
    bind: bool,
    data: String,
}

impl MountSpec {
    /// Reads driver options; `None` when there are none.
    ///
    /// # Errors
    /// `Invalid` for an unknown option and for `device` or `o` without what they need, `Unsupported` by name for file
    /// systems that this engine does not mount.
    pub(super) fn parse(options: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let invalid = |text: String| Err(EngineError::Invalid(text));
        if let Some(key) = options
            .keys()
            .find(|key| !matches!(key.as_str(), "type" | "device" | "o"))
        {
            let supported = if key == "size" {
                "; give size=… in \"o\" with type=tmpfs"
            } else {
                ""
            };
            return invalid(format!("invalid option: \"{key}\"{supported}"));
        }
        if options.is_empty() {
            return Ok(None);
        }
        let get = |key: &str| options.get(key).map_or("", String::as_str);
        let (kind, device) = (get("type"), get("device"));
        if UNSUPPORTED_TYPES.contains(&kind) {
            return Err(EngineError::Unsupported(format!(
                "volume type {kind}: not supported by this engine; mount it on the host and bind that directory"
            )));
        }
        let mut spec = Self {
            source: device.to_owned(),
            kind: kind.to_owned(),
            flags: MountFlags::empty(),
            bind: kind == "bind",
            data: String::new(),
        };
        let mut data = Vec::new();
        for option in get("o").split(',').filter(|option| !option.is_empty()) {
            match option {
                "bind" | "rbind" => spec.bind = true,
                "rw" | "defaults" | "exec" | "suid" | "dev" | "async" | "atime" => {}
                "ro" => spec.flags |= MountFlags::RDONLY,
                "noexec" => spec.flags |= MountFlags::NOEXEC,
                "nosuid" => spec.flags |= MountFlags::NOSUID,
                "nodev" => spec.flags |= MountFlags::NODEV,
                "noatime" => spec.flags |= MountFlags::NOATIME,
                "relatime" => spec.flags |= MountFlags::RELATIME,
                "sync" => spec.flags |= MountFlags::SYNCHRONOUS,
                other => data.push(other),
            }
        }
        spec.data = data.join(",");
        if device.is_empty() || (kind.is_empty() && !spec.bind) {
            let missing = if device.is_empty() { "device" } else { "type" };
            return invalid(format!("missing {missing} in volume options"));
        }
        if spec.bind {
            if !Path::new(device).is_absolute() {
                return invalid(format!(
                    "invalid volume device {device:?}: a bind needs an absolute path"
                ));
            }
            if !spec.data.is_empty() {
                return invalid(format!("invalid volume option {:?} for a bind", spec.data));
            }
        }
        if spec.source.contains('\0') || spec.kind.contains('\0') || spec.data.contains('\0') {
            return invalid("invalid volume option: contains a zero byte".to_owned());
        }
        Ok(Some(spec))
    }

    /// Mounts it on `target`. Its mounts stay out of other mount namespaces' sight.
    pub(super) fn mount(&self, target: &Path) -> Result<()> {
        let shown = format!("volume device {}", self.source);
        if self.bind {
            mount_bind_recursive(self.source.as_str(), target)
                .map_err(EngineError::io("mount", &shown))?;
            if !self.flags.is_empty() {
                mount_remount(target, self.flags | MountFlags::BIND, "")
                    .map_err(EngineError::io("remount", &shown))?;
            }
        } else {
            let data =
                CString::new(self.data.as_str()).map_err(EngineError::io("mount", &shown))?;
            mount(
                self.source.as_str(),
                target,
                self.kind.as_str(),
                self.flags,
                data.as_c_str(),
            )
            .map_err(EngineError::io("mount", &shown))?;
        }
        mount_change(
            target,
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )
        .map_err(EngineError::io("make private", target.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<Option<MountSpec>> {
        MountSpec::parse(
            &options
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn options_are_read_as_mount_reads_them() {
        assert_eq!(parse(&[]).unwrap(), None);
        let spec = parse(&[
            ("type", "tmpfs"),
            ("device", "tmpfs"),
            ("o", "size=1m,ro,uid=1000"),
        ])
        .unwrap()
        .unwrap();
        assert_eq!(
            (spec.data.as_str(), spec.flags),
            ("size=1m,uid=1000", MountFlags::RDONLY)
        );
        let spec = parse(&[("type", "none"), ("device", "/srv"), ("o", "bind")])
            .unwrap()
            .unwrap();
        assert!(spec.bind);
    }

    #[test]
    fn what_is_not_honoured_is_refused_by_name() {
        for options in [
            &[("size", "1m")][..],
            &[("type", "tmpfs")],
            &[("device", "/srv")],
            &[("type", "none"), ("device", "srv"), ("o", "bind")],
            &[("device", "/srv"), ("o", "bind,size=1")],
        ] {
            assert!(
                matches!(parse(options), Err(EngineError::Invalid(_))),
                "{options:?}"
            );
        }
        assert!(matches!(
            parse(&[("type", "nfs"), ("device", ":/x")]),
            Err(EngineError::Unsupported(_))
        ));
    }
}
