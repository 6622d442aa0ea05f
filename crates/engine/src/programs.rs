//! The programs of others that the engine runs: by absolute path from fixed places, with an empty environment, never
//! through a shell.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::error::{EngineError, Result};

/// Where programs of the system lie.
const PLACES: [&str; 6] = [
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];

/// A program of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Writes firewall rules (package `nftables`).
    Nft,
    /// Reads and writes the rules that other software keeps with iptables' newer form.
    IptablesNft,
    /// The same for its older form.
    IptablesLegacy,
    /// Shows processes (package `procps`).
    Ps,
}

impl Program {
    fn file_name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::IptablesNft => "iptables-nft",
            Self::IptablesLegacy => "iptables-legacy",
            Self::Ps => "ps",
        }
    }

    /// Where the program lies on this machine; `None` when it is not installed.
    pub(crate) fn find(self) -> Option<PathBuf> {
        PLACES
            .iter()
            .map(|place| PathBuf::from(place).join(self.file_name()))
            .find(|path| path.is_file())
    }

    /// Runs the program, gives it `input`, and returns what it printed. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when it is not installed, `Internal` with its own words when it does not succeed.
    pub(crate) fn run(self, arguments: &[&str], input: &str) -> Result<String> {
        let name = self.file_name();
        let (path, mut command) = self.command(arguments)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(EngineError::io("run", path.display()))?;
        // The programs read all of their input before they print, so this order cannot block both.
        let written = child
            .stdin
            .take()
            .map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
        let output = child
            .wait_with_output()
            .map_err(EngineError::io("wait for", path.display()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(EngineError::internal("run", name, words.trim()));
        }
        written.map_err(EngineError::io("write to", path.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs the program without input and returns what came of it, success or not. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when it is not installed, `Internal` when it cannot be run.
    pub(crate) fn output(self, arguments: &[&str]) -> Result<Output> {
        let (path, mut command) = self.command(arguments)?;
        command
            .stdin(Stdio::null())
            .output()
            .map_err(EngineError::io("run", path.display()))
    }

    fn command(self, arguments: &[&str]) -> Result<(PathBuf, Command)> {
        let path = self.find().ok_or_else(|| {
            let name = self.file_name();
            EngineError::Unavailable(format!("run {name}: program not found; install it"))
        })?;
        let mut command = Command::new(&path);
        command.args(arguments).env_clear().current_dir("/");
        Ok((path, command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_absolute_path_only() {
        for program in [
            Program::Nft,
            Program::IptablesNft,
            Program::IptablesLegacy,
            Program::Ps,
        ] {
            assert!(program.find().is_none_or(|path| path.is_absolute()));
        }
    }
}
