//! The engine as a whole: who it is, what it is made of, what its machine can do, and what it takes of the disk.

mod info;
mod usage;
mod version;

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use cgroups::{Cgroup, Controller, Features, Layout};

use crate::{config::EngineConfig, store::write_atomic};

pub(crate) use info::Info;
pub(crate) use usage::UsageRequest;

/// Name of the file with the engine's id.
const ID_FILE: &str = "id";

/// What is found out once.
#[derive(Debug)]
pub(crate) struct System {
    id: String,
    limits: OnceLock<Limits>,
    mini_version: OnceLock<String>,
}

/// What can be limited on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Limits {
    /// Memory is limited by cgroup v2.
    v2: bool,
    features: Option<Features>,
}

impl System {
    /// Opens the state directory's identity; a new one gets a random id. Blocks.
    pub(crate) fn open(engine_dir: &Path) -> io::Result<Self> {
        let path = engine_dir.join(ID_FILE);
        let kept = match fs::read_to_string(&path) {
            Ok(text) => Some(text.trim().to_owned()).filter(|id| is_uuid(id)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let id = if let Some(id) = kept {
            id
        } else {
            let id = new_uuid()?;
            write_atomic(&path, id.as_bytes())?;
            id
        };
        Ok(Self {
            id,
            limits: OnceLock::new(),
            mini_version: OnceLock::new(),
        })
    }

    /// What can be limited here, looked for when it is first asked for. Blocks.
    fn limits(&self, config: &EngineConfig) -> &Limits {
        self.limits.get_or_init(|| {
            let found = Limits::find(&config.cgroup_parent);
            found.unwrap_or_else(|error| {
                tracing::warn!(%error, "look for limits");
                Limits {
                    v2: false,
                    features: None,
                }
            })
        })
    }

    /// The runtime's version, as it says itself; empty when it does not run. Blocks the first time.
    fn mini_version(&self, mini: &Path) -> &str {
        self.mini_version.get_or_init(|| {
            let output = Command::new(mini)
                .arg("--version")
                .env_clear()
                .stdin(Stdio::null())
                .output();
            let text = match output {
                Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
                Err(error) => {
                    tracing::warn!(%error, path = %mini.display(), "ask the runtime for its version");
                    String::new()
                }
            };
            let version = text.split_ascii_whitespace().nth(1);
            version.unwrap_or_default().to_owned()
        })
    }
}

impl Limits {
    /// Looks into a cgroup made for it, which is what containers get.
    fn find(cgroup_parent: &str) -> Result<Self, cgroups::Error> {
        let layout = Layout::detect()?;
        let cgroup = Cgroup::create(&layout, &format!("{cgroup_parent}-limits"))?;
        let features = Features::of(&layout, &cgroup);
        cgroup.remove(Duration::from_millis(100))?;
        let v2 = match layout.of(Controller::Memory) {
            Some(hierarchy) => hierarchy.v2,
            None => layout.mode() == cgroups::Mode::V2,
        };
        Ok(Self {
            v2,
            features: Some(features),
        })
    }

    fn has(&self, name: &str) -> bool {
        self.features.as_ref().is_some_and(|all| all.has(name))
    }

    /// Why something is not there.
    fn reason(&self, name: &str) -> &str {
        let all = self.features.as_ref().map(|features| &features.all);
        let feature = all.and_then(|all| all.iter().find(|feature| feature.name == name));
        feature.map_or("cgroups cannot be made here", |feature| {
            feature.reason.as_str()
        })
    }
}

/// A random UUID (RFC 9562, version 4).
fn new_uuid() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hex::encode(bytes);
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts: Vec<&str> = groups
        .into_iter()
        .filter_map(|group| digits.get(group))
        .collect();
    Ok(parts.join("-"))
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_belongs_to_the_directory() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = |dir: &tempfile::TempDir| System::open(dir.path()).unwrap().id;
        let first = id(&one);
        assert!(is_uuid(&first), "{first}");
        assert_eq!(id(&one), first);
        assert_ne!(id(&other), first);
        fs::write(one.path().join(ID_FILE), "damaged").unwrap();
        assert!(is_uuid(&id(&one)));
    }

    #[test]
    fn kernel_limits_are_found_and_nothing_is_left() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: making cgroups needs root");
            return;
        }
        let parent = format!("/containeros-test-system-{}", std::process::id());
        let limits = Limits::find(&parent).unwrap();
        assert!(limits.has("memory_limit") || !limits.reason("memory_limit").is_empty());
        assert!(!limits.has("no such limit"));
        let layout = Layout::detect().unwrap();
        assert!(Cgroup::open(&layout, &format!("{parent}-limits")).is_err());
    }

    #[test]
    fn a_runtime_that_is_not_there_has_no_version() {
        let dir = tempfile::tempdir().unwrap();
        let system = System::open(dir.path()).unwrap();
        assert_eq!(system.mini_version(Path::new("/nonexistent")), "");
    }
}
