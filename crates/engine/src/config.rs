//! Where the engine keeps things and what it is called.

use std::path::{Path, PathBuf};

/// The state directory when none is given.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/containeros";
/// The run directory when none is given.
pub const DEFAULT_RUN_DIR: &str = "/run/containeros";
/// The cgroup under which each container gets its own when none is given.
pub const DEFAULT_CGROUP_PARENT: &str = "/containeros";
/// Name of the API socket in the run directory.
pub const SOCKET_FILE: &str = "mini.sock";

/// How an engine is set up. Several engines with different directories can run on one machine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Durable state; the engine uses `engine/` in it.
    pub state_dir: PathBuf,
    /// What is only true until reboot; best on a tmpfs.
    pub run_dir: PathBuf,
    /// The `mini` program.
    pub mini_path: PathBuf,
    /// Absolute cgroup path, in every hierarchy, under which containers are placed.
    pub cgroup_parent: String,
    /// OCI archive that is loaded when the engine has no image.
    pub starter_archive: Option<PathBuf>,
}

impl EngineConfig {
    /// Returns the configuration for these directories; everything else is the default.
    pub fn new(state_dir: PathBuf, run_dir: PathBuf, mini_path: PathBuf) -> Self {
        let mut config = Self {
            state_dir,
            run_dir,
            mini_path,
            cgroup_parent: DEFAULT_CGROUP_PARENT.to_owned(),
            starter_archive: None,
        };
        // Two engines must not meet in one cgroup: their names come from the run directory, as all kernel objects' do.
        if let Some(tag) = config.instance_tag() {
            config.cgroup_parent = format!("{DEFAULT_CGROUP_PARENT}-{tag}");
        }
        config
    }

    /// Returns the engine's part of the state directory.
    pub fn engine_dir(&self) -> PathBuf {
        self.state_dir.join("engine")
    }

    /// Returns the path of the API socket.
    pub fn socket_path(&self) -> PathBuf {
        self.run_dir.join(SOCKET_FILE)
    }

    /// Returns what distinguishes this engine's kernel objects from another engine's on the same machine: six hex
    /// digits of the run directory's hash, or `None` for the default run directory, which gets the plain names.
    pub fn instance_tag(&self) -> Option<String> {
        use sha2::Digest as _;
        if self.run_dir == Path::new(DEFAULT_RUN_DIR) {
            return None;
        }
        let digest = sha2::Sha256::digest(self.run_dir.as_os_str().as_encoded_bytes());
        Some(hex::encode(digest.get(..3)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_run_dir_gets_plain_names() {
        let of = |run: &str| EngineConfig::new("/s".into(), run.into(), "/mini".into());
        assert_eq!(of(DEFAULT_RUN_DIR).instance_tag(), None);
        assert_eq!(of(DEFAULT_RUN_DIR).cgroup_parent, DEFAULT_CGROUP_PARENT);
        let other = of("/run/other");
        assert_eq!(other.instance_tag().map(|t| t.len()), Some(6));
        assert_ne!(other.cgroup_parent, of("/run/third").cgroup_parent);
    }
}
