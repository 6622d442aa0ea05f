//! What is mounted for one `RUN`: `--mount=type=bind|cache|tmpfs|secret`.
//!
//! A cache is a directory of the engine's own, kept from one build to the next under its id; nothing of it gets into the
//! image. A build of the classic API brings no secrets along: an optional one is absent, a required one an error.
//!
//! Source: Dockerfile reference, "RUN --mount".

use std::{
    collections::HashMap,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use crate::{
    engine::Engine,
    error::{EngineError, Result},
    image::Digest,
    layer::RootFd,
};

/// What one flag asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunMount {
    /// Files of the context, or of another stage or image.
    Bind {
        /// Absolute path in the container.
        target: String,
        /// Path there.
        source: String,
        /// The stage or image; the context without one.
        from: Option<String>,
        /// May be written to; what is written is lost.
        writable: bool,
    },
    /// A directory that is kept from build to build.
    Cache {
        /// Absolute path in the container.
        target: String,
        /// What it is known by.
        id: String,
        /// May not be written to.
        read_only: bool,
        /// One build at a time.
        locked: bool,
        /// Permissions of a new one.
        mode: u32,
        /// Owner of a new one.
        owner: (u32, u32),
    },
    /// Memory.
    Tmpfs {
        /// Absolute path in the container.
        target: String,
        /// Bytes.
        size: Option<i64>,
    },
    /// A file that the caller would have to bring along.
    Secret {
        /// What it is known by.
        id: String,
        /// The step fails without it.
        required: bool,
    },
}

impl RunMount {
    /// Reads the value of `--mount`. A relative target is below `directory`.
    ///
    /// # Errors
    /// What is wrong with it, or not offered.
    pub(super) fn parse(text: &str, directory: &str) -> Result<Self, String> {
        let mut fields = HashMap::new();
        for field in text.split(',').filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, "true"));
            let key = match key.to_ascii_lowercase().as_str() {
                "src" => "source".to_owned(),
                "dst" | "destination" => "target".to_owned(),
                "readwrite" => "rw".to_owned(),
                "readonly" => "ro".to_owned(),
                other => other.to_owned(),
            };
            fields.insert(key, value.to_owned());
        }
        let kind = fields.remove("type").unwrap_or_else(|| "bind".to_owned());
        let mount = Self::of(&kind, &mut fields, directory)?;
        match fields.keys().next() {
            None => Ok(mount),
            Some(key) => Err(format!("unexpected key '{key}' for mount type '{kind}'")),
        }
    }

    fn of(
        kind: &str,
        fields: &mut HashMap<String, String>,
        directory: &str,
    ) -> Result<Self, String> {
        let target = fields
            .remove("target")
            .map(|target| crate::image::working_directory(directory, &target));
        let needed = |target: Option<String>| {
            target.ok_or_else(|| format!("missing target for mount type '{kind}'"))
        };
        let flag = |fields: &mut HashMap<String, String>, key: &str| match fields.remove(key) {
            None => Ok(None),
            Some(value) => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(Some(true)),
                "false" | "0" => Ok(Some(false)),
                _ => Err(format!("invalid value for {key}: {value}")),
            },
        };
        match kind {
            "bind" => {
                let writable = flag(fields, "rw")?.unwrap_or(false);
                let read_only = flag(fields, "ro")?.unwrap_or(!writable);
                Ok(Self::Bind {
                    target: needed(target)?,
                    source: fields.remove("source").unwrap_or_default(),
                    from: fields.remove("from"),
                    writable: !read_only,
                })
            }
            "cache" => {
                let target = needed(target)?;
                let number = |fields: &mut HashMap<String, String>, key: &str, radix| {
                    let Some(text) = fields.remove(key) else {
                        return Ok(None);
                    };
                    u32::from_str_radix(&text, radix)
                        .map(Some)
                        .map_err(|_malformed| format!("invalid value {text} for {key}"))
                };
                let sharing = fields.remove("sharing").unwrap_or_else(|| "shared".to_owned());
                Ok(Self::Cache {
                    id: fields.remove("id").unwrap_or_else(|| target.clone()),
                    read_only: flag(fields, "ro")?.unwrap_or(false),
                    locked: match sharing.as_str() {
                        "shared" => false,
                        // A second private one would be empty; waiting gives each what it left.
                        "private" | "locked" => true,
                        other => return Err(format!("unsupported sharing value {other:?}")),
                    },
                    mode: number(fields, "mode", 8)?.unwrap_or(0o755),
                    owner: (
                        number(fields, "uid", 10)?.unwrap_or(0),
                        number(fields, "gid", 10)?.unwrap_or(0),
                    ),
                    target,
                })
            }
            "tmpfs" => Ok(Self::Tmpfs {
                target: needed(target)?,
                size: fields
                    .remove("size")
                    .map(|size| bytes(&size).ok_or_else(|| format!("invalid size {size:?}")))
                    .transpose()?,
            }),
            "secret" => {
                for key in ["mode", "uid", "gid", "env"] {
                    fields.remove(key);
                }
                let name = target.as_deref().and_then(|target| target.rsplit('/').next());
                let id = fields.remove("id").or_else(|| name.map(str::to_owned));
                Ok(Self::Secret {
                    id: id.ok_or("invalid field: a secret needs an id or a target")?,
                    required: flag(fields, "required")?.unwrap_or(false),
                })
            }
            "ssh" => Err("mount type 'ssh' is not supported by this builder: it has no way to the caller's agent".to_owned()),
            other => Err(format!("unsupported mount type {other:?}")),
        }
    }
}

/// `64m`, in bytes.
fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

/// Where caches are.
fn caches_dir(engine: &Engine) -> PathBuf {
    engine.config.engine_dir().join("build-cache")
}

/// Who uses which cache alone. Entries stay: there are as many as ids in use.
static LOCKED: LazyLock<Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>> =
    LazyLock::new(Mutex::default);

/// A cache, and the right to it alone when that was asked for.
#[derive(Debug)]
pub(super) struct Cache {
    /// Where it is.
    pub(super) dir: PathBuf,
    _alone: Option<OwnedMutexGuard<()>>,
}

/// Opens the cache `id`, which is made when there is none, and waits for others when it is to be used alone.
///
/// # Errors
/// `Internal` when it cannot be made.
pub(super) async fn cache(
    engine: &Engine,
    id: &str,
    locked: bool,
    (mode, owner): (u32, (u32, u32)),
) -> Result<Cache> {
    let dir = caches_dir(engine).join(Digest::of(id.as_bytes()).hex());
    let alone = if locked {
        let lock = {
            let mut all = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(dir.clone()).or_default())
        };
        Some(lock.lock_owned().await)
    } else {
        None
    };
    let made = dir.clone();
    crate::blocking::run(move || make_cache(&made, mode, owner)).await?;
    Ok(Cache { dir, _alone: alone })
}

fn make_cache(dir: &Path, mode: u32, (uid, gid): (u32, u32)) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = || EngineError::io::<io::Error>("create", dir.display().to_string());
    let above = dir.parent().unwrap_or(dir);
    fs::create_dir_all(above).map_err(failed())?;
    fs::set_permissions(above, fs::Permissions::from_mode(0o700)).map_err(failed())?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other.map_err(failed())?,
    }
    std::os::unix::fs::chown(dir, Some(uid), Some(gid)).map_err(failed())?;
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).map_err(failed())
}

/// Removes all caches that no build uses alone at this moment. Returns their ids' digests and the bytes freed. Blocks.
///
/// # Errors
/// `Internal` when one cannot be removed.
pub(crate) fn prune_caches(engine: &Engine) -> Result<(Vec<String>, u64)> {
    let dir = caches_dir(engine);
    let failed = || EngineError::io::<io::Error>("remove", dir.display().to_string());
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        other => other.map_err(failed())?,
    };
    let (mut gone, mut freed) = (Vec::new(), 0);
    for entry in entries {
        let path = entry.map_err(failed())?.path();
        let lock = {
            let all = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(&path).map(Arc::clone)
        };
        let alone = lock.map(tokio::sync::Mutex::try_lock_owned).transpose();
        let _alone = match alone {
            Ok(alone) => alone,
            Err(_used) => continue,
        };
        freed += crate::layer::tree_size(&path)?;
        crate::layer::remove_tree(&path).map_err(failed())?;
        gone.extend(
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    Ok((gone, freed))
}

/// A bind mount in `HostConfig.Mounts` of a path below `base`, links followed inside it.
///
/// # Errors
/// `Invalid` when there is nothing.
pub(super) fn bind(base: &Path, source: &str, target: &str, read_only: bool) -> Result<Value> {
    let root = RootFd::open(base).map_err(EngineError::io("open", base.display()))?;
    let real = root
        .real_path(source.as_bytes())
        .map_err(EngineError::io("open", source))?;
    if root.open_path(&real, rustix::fs::OFlags::NOFOLLOW).is_err() {
        return Err(EngineError::Invalid(format!(
            "RUN --mount: {source:?}: not found"
        )));
    }
    let path = base.join(std::ffi::OsStr::from_bytes(&real));
    Ok(json!({
        "Type": "bind", "Source": path.to_string_lossy(), "Target": target, "ReadOnly": read_only,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read() {
        assert_eq!(
            RunMount::parse("target=src,source=a,from=base,rw", "/w").unwrap(),
            RunMount::Bind {
                target: "/w/src".into(),
                source: "a".into(),
                from: Some("base".into()),
                writable: true,
            }
        );
        assert_eq!(
            RunMount::parse("type=cache,dst=/c,sharing=locked,mode=0700,uid=5", "/").unwrap(),
            RunMount::Cache {
                target: "/c".into(),
                id: "/c".into(),
                read_only: false,
                locked: true,
                mode: 0o700,
                owner: (5, 0),
            }
        );
        assert_eq!(
            RunMount::parse("type=tmpfs,target=/t,size=2m", "/").unwrap(),
            RunMount::Tmpfs {
                target: "/t".into(),
                size: Some(2 << 20),
            }
        );
        assert_eq!(
            RunMount::parse("type=secret,target=/x/key,required", "/").unwrap(),
            RunMount::Secret {
                id: "key".into(),
                required: true,
            }
        );
    }

    #[test]
    fn what_is_not_meant_is_refused() {
        for (text, words) in [
            ("type=cache", "missing target"),
            ("type=ssh", "not supported"),
            ("type=x,target=/a", "unsupported mount type"),
            ("target=/a,colour=red", "unexpected key 'colour'"),
            ("type=cache,target=/a,sharing=x", "sharing"),
            ("type=tmpfs,target=/a,size=x", "invalid size"),
            ("target=/a,rw=maybe", "invalid value"),
        ] {
            let error = RunMount::parse(text, "/").unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
