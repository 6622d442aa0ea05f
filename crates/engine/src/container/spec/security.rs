//! `--security-opt` and what `--privileged` means for it.

use std::collections::BTreeSet;

use bollard_stubs::models::HostConfig;
use serde_json::Value;

use crate::{
    container::seccomp,
    error::{EngineError, Result},
};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Default,
    None,
    /// Docker's form of a profile, as JSON.
    Own(String),
}

/// The security options of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Security {
    /// A program cannot gain privileges by executing another.
    pub(crate) no_new_privileges: bool,
    /// Name of an AppArmor profile; empty for none.
    pub(crate) apparmor_profile: String,
    filter: Filter,
}

impl Security {
    /// Reads the options.
    ///
    /// # Errors
    /// `Invalid` in Docker's words for an unknown or malformed one, `Unsupported` for SELinux labels.
    pub(crate) fn parse(host: &HostConfig) -> Result<Self> {
        let mut security = Self {
            // Stricter than Docker: what needs set-user-id programs says `no-new-privileges=false`.
            no_new_privileges: host.privileged != Some(true),
            apparmor_profile: String::new(),
            filter: if host.privileged == Some(true) {
                Filter::None
            } else {
                Filter::Default
            },
        };
        for option in host.security_opt.iter().flatten() {
            security.add(option)?;
        }
        Ok(security)
    }

    fn add(&mut self, option: &str) -> Result<()> {
        let unknown = || EngineError::Invalid(format!("invalid --security-opt 2: {option:?}"));
        let (key, value) = match option.split_once('=').or_else(|| option.split_once(':')) {
            Some((key, value)) => (key, value),
            None if option == "no-new-privileges" => (option, "true"),
            None => return Err(unknown()),
        };
        match (key, value) {
            ("no-new-privileges", "true") => self.no_new_privileges = true,
            ("no-new-privileges", "false") => self.no_new_privileges = false,
            ("seccomp", "unconfined") => self.filter = Filter::None,
            ("seccomp", "builtin" | "default") => self.filter = Filter::Default,
            ("seccomp", profile) => {
                // Read here already, so that a malformed one is refused before anything is made.
                seccomp::parse_profile(profile, &BTreeSet::new())?;
                self.filter = Filter::Own(profile.to_owned());
            }
            ("apparmor", "unconfined" | "") => self.apparmor_profile.clear(),
            ("apparmor", profile) => profile.clone_into(&mut self.apparmor_profile),
            // No labels are set anyway; the masked and read-only paths come with the request.
            ("label", "disable") | ("systempaths", "unconfined") => {}
            ("label", _) => {
                return Err(EngineError::Unsupported(format!(
                    "security option {option:?}: this engine sets no SELinux labels"
                )));
            }
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// The filter of system calls in the terms of the runtime-spec; `None` for none.
    ///
    /// # Errors
    /// `Invalid` for a malformed profile.
    pub(crate) fn seccomp(&self, capabilities: &BTreeSet<String>) -> Result<Option<Value>> {
        let profile = match &self.filter {
            Filter::None => return Ok(None),
            Filter::Default => Some(seccomp::default_profile(capabilities)),
            Filter::Own(json) => seccomp::parse_profile(json, capabilities)?,
        };
        profile
            .map(serde_json::to_value)
            .transpose()
            .map_err(EngineError::io("write", "the seccomp profile"))
    }
}
