//! What is mounted into a container: reading what its creator asks for, in all the forms that Docker has had.
//!
//! `Binds` (`/host:/inside:ro`, `volume:/inside`), `Mounts`, `Tmpfs`, `VolumesFrom`, and the volumes that the image or
//! the creator declares without naming one. Nothing is made here; volumes are made when the container is.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{
    ContainerConfig, HostConfig, Mount, MountBindOptionsPropagationEnum, MountPoint,
    MountPointType, MountType,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{EngineError, Result},
    id,
    volume::VolumeRequest,
};

/// Something that is mounted into a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountRecord {
    /// Absolute path inside, without `.` and `..`.
    pub(crate) destination: String,
    /// What is seen there.
    pub(crate) source: MountSource,
    /// May not be written to.
    pub(crate) read_only: bool,
    /// Mode as it was written (`ro`, `z`), which inspect gives back.
    pub(crate) mode: String,
    /// Mount propagation; empty for the default.
    pub(crate) propagation: String,
}

/// What is seen at a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub(crate) enum MountSource {
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        path: String,
        /// Make a directory there when there is nothing, as `Binds` do and `Mounts` do not.
        create: bool,
        /// Without the mounts below it.
        non_recursive: bool,
    },
    /// A volume.
    Volume {
        /// Its name.
        name: String,
        /// Nobody named it: it goes when its container is removed with its volumes.
        anonymous: bool,
        /// Fill it with what the image has there, when it is empty.
        copy: bool,
        /// A directory inside it; empty for all of it.
        subpath: String,
    },
    /// Memory.
    Tmpfs {
        /// Options of the mount, such as `size=1m`.
        options: Vec<String>,
    },
}

/// A mount that is asked for, with the volume that is to be made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountPlan {
    /// The mount; the name of an anonymous volume is still empty.
    pub(super) record: MountRecord,
    /// The volume, for mounts of volumes.
    pub(super) volume: Option<VolumeRequest>,
}

fn invalid(message: impl Into<String>) -> EngineError {
    EngineError::Invalid(message.into())
}

/// Reads all mounts of a request, in order of destination. `volumes_from` answers with the mounts of another container.
///
/// # Errors
/// `Invalid` for what is malformed or doubled, `Unsupported` for what this engine does not have, and what `volumes_from`
/// says.
pub(super) fn plan(
    config: &ContainerConfig,
    host: &HostConfig,
    mut volumes_from: impl FnMut(&str) -> Result<Vec<MountRecord>>,
) -> Result<Vec<MountPlan>> {
    let mut plans = BTreeMap::<String, MountPlan>::new();
    let mut asked = Vec::new();
    for text in host.volumes_from.iter().flatten() {
        let (container, mode) = text.split_once(':').unwrap_or((text, ""));
        if !matches!(mode, "" | "ro" | "rw" | "z" | "Z") {
            return Err(invalid(format!("invalid mode for volumes-from: {mode}")));
        }
        for mut record in volumes_from(container)? {
            record.read_only |= mode == "ro";
            let plan = MountPlan {
                record,
                volume: None,
            };
            // What is asked for below wins over what comes from another container.
            plans.insert(plan.record.destination.clone(), plan);
        }
    }
    for bind in host.binds.iter().flatten() {
        asked.push(parse_bind(bind)?);
    }
    for mount in host.mounts.iter().flatten() {
        asked.push(parse_mount(mount)?);
    }
    for (destination, options) in host.tmpfs.iter().flatten() {
        asked.push(tmpfs(destination, options)?);
    }
    let mut seen = std::collections::HashSet::new();
    for plan in asked {
        let destination = plan.record.destination.clone();
        if !seen.insert(destination.clone()) {
            return Err(invalid(format!("Duplicate mount point: {destination}")));
        }
        plans.insert(destination, plan);
    }
    for declared in config.volumes.iter().flatten() {
        let (destination, name) = match declared.split_once(':') {
            // `-v name:/path` of very old clients came this way.
            Some(_) => {
                return Err(invalid(format!(
                    "invalid volume specification: '{declared}'"
                )));
            }
            None => (clean_destination(declared)?, None),
        };
        plans
            .entry(destination.clone())
            .or_insert_with(|| volume(destination, name, HashMap::new(), ""));
    }
    Ok(plans.into_values().collect())
}

fn volume(
    destination: String,
    name: Option<String>,
    labels: HashMap<String, String>,
    mode: &str,
) -> MountPlan {
    let record = MountRecord {
        destination,
        source: MountSource::Volume {
            name: name.clone().unwrap_or_default(),
            anonymous: name.is_none(),
            copy: true,
            subpath: String::new(),
        },
        read_only: false,
        mode: mode.to_owned(),
        propagation: String::new(),
    };
    MountPlan {
        record,
        volume: Some(VolumeRequest {
            name,
            labels,
            options: HashMap::new(),
        }),
    }
}

/// Brings a path inside a container to one form.
fn clean_destination(path: &str) -> Result<String> {
    let not_absolute = || {
        invalid(format!(
            "invalid mount path: '{path}' mount path must be absolute"
        ))
    };
    if path.contains('\0') {
        return Err(not_absolute());
    }
    let cleaned = crate::container::paths::clean_absolute(path).ok_or_else(not_absolute)?;
    if cleaned == "/" {
        return Err(invalid(format!(
            "invalid volume specification: '{path}': invalid mount config: destination can't be '/'"
        )));
    }
    Ok(cleaned)
}

/// Reads `SOURCE:DESTINATION[:MODE]` or `DESTINATION`.
fn parse_bind(text: &str) -> Result<MountPlan> {
    let refuse = |why: &str| invalid(format!("invalid volume specification: '{text}'{why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode) = match *parts.as_slice() {
        [destination] => ("", destination, ""),
        [source, destination] if !source.is_empty() => (source, destination, ""),
        [source, destination, mode] if !source.is_empty() => (source, destination, mode),
        _ => return Err(refuse("")),
    };
    let destination = clean_destination(destination)?;
    let mode_of = parse_mode(mode).ok_or_else(|| refuse(&format!(": invalid mode: {mode}")))?;
    let mut plan = if source.is_empty() {
        volume(destination, None, HashMap::new(), mode)
    } else if source.starts_with('/') {
        let path = crate::container::paths::clean_absolute(source).ok_or_else(|| refuse(""))?;
        MountPlan {
            record: MountRecord {
                destination,
                source: MountSource::Bind {
                    path,
                    create: true,
                    non_recursive: false,
                },
                read_only: false,
                mode: mode.to_owned(),
                propagation: "rprivate".to_owned(),
            },
            volume: None,
        }
    } else {
        if !id::is_valid_name(source) {
            return Err(invalid(format!(
                "create {source}: \"{source}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
            )));
        }
        volume(destination, Some(source.to_owned()), HashMap::new(), mode)
    };
    plan.record.read_only = mode_of.read_only;
    if let MountSource::Volume { copy, .. } = &mut plan.record.source {
        *copy = !mode_of.no_copy;
        if !mode_of.propagation.is_empty() {
            return Err(refuse(": mount propagation is for host directories"));
        }
        if plan.record.mode.is_empty() {
            "z".clone_into(&mut plan.record.mode);
        }
    } else if mode_of.no_copy {
        return Err(refuse(": nocopy is for volumes"));
    } else if !mode_of.propagation.is_empty() {
        plan.record.propagation = mode_of.propagation;
    }
    Ok(plan)
}

#[derive(Default)]
struct Mode {
    read_only: bool,
    no_copy: bool,
    propagation: String,
}

/// Reads a mode such as `ro,z`; `None` when it is none.
fn parse_mode(text: &str) -> Option<Mode> {
    let mut mode = Mode::default();
    let mut access = false;
    for word in text.split(',').filter(|_| !text.is_empty()) {
        match word {
            "ro" | "rw" if !access => {
                access = true;
                mode.read_only = word == "ro";
            }
            "nocopy" => mode.no_copy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave"
                if mode.propagation.is_empty() =>
            {
                word.clone_into(&mut mode.propagation);
            }
            // Labels of SELinux, which this engine does not set; and what keeps Docker Desktop's two sides alike.
            "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            _ => return None,
        }
    }
    Some(mode)
}

fn parse_mount(mount: &Mount) -> Result<MountPlan> {
    let refuse = |why: &str| invalid(format!("invalid mount config for type: {why}"));
    let target = mount
        .target
        .as_deref()
        .filter(|target| !target.is_empty())
        .ok_or_else(|| refuse("field Target must not be empty"))?;
    let destination = clean_destination(target)?;
    let source = mount.source.as_deref().unwrap_or_default();
    let read_only = mount.read_only == Some(true);
    let record = |source, propagation: &str| MountRecord {
        destination: destination.clone(),
        source,
        read_only,
        mode: String::new(),
        propagation: propagation.to_owned(),
    };
    match mount.typ {
        Some(MountType::BIND) => {
            let path = crate::container::paths::clean_absolute(source)
                .ok_or_else(|| refuse("bind source must be an absolute path"))?;
            let options = mount.bind_options.clone().unwrap_or_default();
            let create = options.create_mountpoint == Some(true);
            if !create && !std::path::Path::new(&path).exists() {
                return Err(invalid(format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {path}"
                )));
            }
            let propagation = match options.propagation {
                None | Some(MountBindOptionsPropagationEnum::EMPTY) => "rprivate".to_owned(),
                Some(propagation) => propagation.to_string(),
            };
            let source = MountSource::Bind {
                path,
                create,
                non_recursive: options.non_recursive == Some(true),
            };
            Ok(MountPlan {
                record: record(source, &propagation),
                volume: None,
            })
        }
        Some(MountType::VOLUME) => {
            let options = mount.volume_options.clone().unwrap_or_default();
            let driver = options.driver_config.unwrap_or_default();
            if driver
                .name
                .as_deref()
                .is_some_and(|name| !matches!(name, "" | "local"))
            {
                return Err(EngineError::NotFound(format!(
                    "plugin {:?} not found: this engine has the volume driver local alone",
                    driver.name.unwrap_or_default()
                )));
            }
            let name = (!source.is_empty()).then(|| source.to_owned());
            if let Some(name) = name.as_deref().filter(|name| !id::is_valid_name(name)) {
                return Err(invalid(format!(
                    "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed"
                )));
            }
            let volume_source = MountSource::Volume {
                name: name.clone().unwrap_or_default(),
                anonymous: name.is_none(),
                copy: options.no_copy != Some(true),
                subpath: options.subpath.unwrap_or_default(),
            };
            Ok(MountPlan {
                record: record(volume_source, ""),
                volume: Some(VolumeRequest {
                    name,
                    labels: options.labels.unwrap_or_default(),
                    options: driver.options.unwrap_or_default(),
                }),
            })
        }
        Some(MountType::TMPFS) => {
            if !source.is_empty() {
                return Err(refuse("a tmpfs mount has no Source"));
            }
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            let mut words = Vec::new();
            if let Some(size) = options.size_bytes.filter(|size| *size > 0) {
                words.push(format!("size={size}"));
            }
            if let Some(mode) = options.mode.filter(|mode| *mode > 0) {
                words.push(format!("mode={mode:o}"));
            }
            words.extend(options.options.into_iter().flatten().map(|w| w.join("=")));
            let mut plan = tmpfs(target, &words.join(","))?;
            plan.record.read_only = read_only;
            Ok(plan)
        }
        other => Err(EngineError::Unsupported(format!(
            "mount of type {}: this engine mounts bind, volume and tmpfs",
            other.map_or_else(String::new, |kind| kind.to_string())
        ))),
    }
}

fn tmpfs(destination: &str, options: &str) -> Result<MountPlan> {
    let words: Vec<String> = options
        .split(',')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    for word in &words {
        let key = word.split('=').next().unwrap_or(word);
        let known = matches!(
            key,
            "size"
                | "mode"
                | "uid"
                | "gid"
                | "nr_inodes"
                | "nr_blocks"
                | "mpol"
                | "exec"
                | "noexec"
                | "suid"
                | "nosuid"
                | "dev"
                | "nodev"
                | "ro"
                | "rw"
                | "sync"
                | "async"
                | "atime"
                | "noatime"
                | "diratime"
                | "nodiratime"
                | "relatime"
                | "norelatime"
                | "strictatime"
                | "nostrictatime"
                | "dirsync"
                | "private"
                | "rprivate"
                | "shared"
                | "rshared"
                | "slave"
                | "rslave"
                | "unbindable"
                | "runbindable"
        );
        if !known {
            return Err(invalid(format!("invalid tmpfs option {word:?}")));
        }
    }
    Ok(MountPlan {
        record: MountRecord {
            destination: clean_destination(destination)?,
            source: MountSource::Tmpfs { options: words },
            read_only: false,
            mode: String::new(),
            propagation: String::new(),
        },
        volume: None,
    })
}

impl MountRecord {
    /// The volume that is mounted.
    pub(crate) fn volume(&self) -> Option<&str> {
        match &self.source {
            MountSource::Volume { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The mount as inspect and lists show it; `volume_path` tells where a volume is.
    pub(crate) fn to_point(&self, volume_path: impl Fn(&str) -> String) -> MountPoint {
        let mut point = MountPoint {
            destination: Some(self.destination.clone()),
            mode: Some(self.mode.clone()),
            rw: Some(!self.read_only),
            propagation: Some(self.propagation.clone()),
            ..MountPoint::default()
        };
        match &self.source {
            MountSource::Bind { path, .. } => {
                point.typ = Some(MountPointType::from("bind"));
                point.source = Some(path.clone());
            }
            MountSource::Volume { name, .. } => {
                point.typ = Some(MountPointType::from("volume"));
                point.name = Some(name.clone());
                point.source = Some(volume_path(name));
                point.driver = Some("local".to_owned());
            }
            MountSource::Tmpfs { .. } => {
                point.typ = Some(MountPointType::from("tmpfs"));
                point.source = Some(String::new());
            }
        }
        point
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(binds: &[&str]) -> Result<Vec<MountPlan>> {
        let host = HostConfig {
            binds: Some(binds.iter().map(|bind| (*bind).to_owned()).collect()),
            ..HostConfig::default()
        };
        plan(&ContainerConfig::default(), &host, |_| Ok(Vec::new()))
    }

    #[test]
    fn binds_are_host_paths_or_volumes() {
        let plans = of(&["/srv/../etc:/a/./b/:ro", "data:/data", "/anonymous"]).unwrap();
        let destinations: Vec<_> = plans
            .iter()
            .map(|p| p.record.destination.as_str())
            .collect();
        assert_eq!(destinations, ["/a/b", "/anonymous", "/data"]);
        assert!(plans[0].record.read_only);
        assert!(
            matches!(&plans[0].record.source, MountSource::Bind { path, create: true, .. } if path == "/etc")
        );
        assert_eq!(plans[2].record.volume(), Some("data"));
        assert!(matches!(
            &plans[1].record.source,
            MountSource::Volume {
                anonymous: true,
                ..
            }
        ));
        assert_eq!(plans[1].volume.as_ref().unwrap().name, None);
    }

    #[test]
    fn malformed_binds_are_refused_by_name() {
        for bad in [
            "",
            ":",
            "/a:",
            "a:b",
            "/tmp:relative",
            "/a:/b:xx",
            "/a:/b:ro,rw",
            "/a:/",
            "a/b:/c",
            "../x:/c",
            "/a:/b:ro:extra",
            "data:/d:shared",
            "/a:/b:nocopy",
        ] {
            assert!(
                matches!(of(&[bad]), Err(EngineError::Invalid(_))),
                "{bad:?}"
            );
        }
        assert!(of(&["/a:/x", "data:/x/"]).is_err());
    }

    #[test]
    fn a_declared_volume_gives_way_to_a_mount() {
        let config = ContainerConfig {
            volumes: Some(vec!["/data".into(), "/more".into()]),
            ..ContainerConfig::default()
        };
        let host = HostConfig {
            binds: Some(vec!["named:/data".into()]),
            ..HostConfig::default()
        };
        let plans = plan(&config, &host, |_| Ok(Vec::new())).unwrap();
        assert_eq!(plans.len(), 2);
        assert_eq!(plans[0].record.volume(), Some("named"));
        assert_eq!(plans[1].record.volume(), Some(""));
    }

    #[test]
    fn volumes_of_another_container_give_way_too() {
        let other = volume("/data".into(), Some("theirs".into()), HashMap::new(), "").record;
        let host = HostConfig {
            volumes_from: Some(vec!["other:ro".into()]),
            ..HostConfig::default()
        };
        let plans = plan(&ContainerConfig::default(), &host, |name| {
            assert_eq!(name, "other");
            Ok(vec![other.clone()])
        })
        .unwrap();
        assert!(plans[0].record.read_only);
        assert_eq!(plans[0].record.volume(), Some("theirs"));
    }

    proptest::proptest! {
        #[test]
        fn no_bind_panics_and_every_destination_is_clean(text: String) {
            for plan in of(&[&text]).into_iter().flatten() {
                let destination = plan.record.destination;
                proptest::prop_assert!(destination.starts_with('/') && !destination.contains("/../") && destination.len() > 1);
            }
        }
    }
}
