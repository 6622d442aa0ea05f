//! The settings in force: flag or environment, file, default, in this order.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{arguments::Options, host};

/// The page's address when none is given.
const DEFAULT_LISTEN: &str = "127.0.0.1:7070";
/// The file of settings when none is named; it need not exist.
const DEFAULT_FILE: &str = "/etc/containeros/config.toml";

/// How messages look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) state_dir: PathBuf,
    pub(crate) run_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) docker: Option<String>,
    pub(crate) mini_path: PathBuf,
    pub(crate) starter: Option<PathBuf>,
    pub(crate) allow_host: Vec<String>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

/// What the file may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    state_dir: Option<PathBuf>,
    run_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    metrics_listen: Option<SocketAddr>,
    docker: Option<String>,
    mini_path: Option<PathBuf>,
    starter: Option<PathBuf>,
    allow_host: Vec<String>,
    log: Option<String>,
    log_format: Option<LogFormat>,
}

impl Settings {
    /// Gathers them.
    pub(crate) fn gather(options: &Options) -> anyhow::Result<Self> {
        let file = read(options.config.as_deref())?;
        let (state_dir, run_dir) = host::default_directories();
        let beside = |name: &str| {
            let directory = std::env::current_exe()
                .ok()?
                .canonicalize()
                .ok()?
                .parent()?
                .to_owned();
            Some(directory.join(name))
        };
        let starter = || {
            [
                beside("starter.tar"),
                Some(PathBuf::from("/usr/share/containeros/starter.tar")),
            ]
            .into_iter()
            .flatten()
            .find(|path| path.exists())
        };
        let default_listen = DEFAULT_LISTEN.parse().context("read the default address")?;
        Ok(Self {
            state_dir: absolute(
                options
                    .state_dir
                    .clone()
                    .or(file.state_dir)
                    .unwrap_or(state_dir),
            )?,
            run_dir: absolute(options.run_dir.clone().or(file.run_dir).unwrap_or(run_dir))?,
            listen: options.listen.or(file.listen).unwrap_or(default_listen),
            metrics_listen: options.metrics_listen.or(file.metrics_listen),
            docker: options
                .docker
                .clone()
                .or(file.docker)
                .filter(|url| !url.is_empty()),
            mini_path: options
                .mini_path
                .clone()
                .or(file.mini_path)
                .or_else(|| beside("mini"))
                .unwrap_or_else(|| PathBuf::from("/usr/bin/mini")),
            starter: options.starter.clone().or(file.starter).or_else(starter),
            allow_host: if options.allow_host.is_empty() {
                file.allow_host
            } else {
                options.allow_host.clone()
            },
            log: options
                .log
                .clone()
                .or(file.log)
                .unwrap_or_else(|| "info".to_owned()),
            log_format: options.log_format.or(file.log_format).unwrap_or_default(),
        })
    }

    /// Prints them as they would stand in a file.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let text = toml::to_string(self).context("write the settings")?;
        write!(std::io::stdout(), "{text}").context("print the settings")
    }
}

fn read(said: Option<&Path>) -> anyhow::Result<File> {
    let path = said.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("read {}", path.display())),
        Err(error) if said.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(File::default())
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn absolute(path: PathBuf) -> anyhow::Result<PathBuf> {
    std::path::absolute(&path).with_context(|| format!("find {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("c.toml");
        std::fs::write(
            &config,
            "state_dir = \"/from/file\"\nrun_dir = \"/from/file\"\n",
        )
        .unwrap();
        let options = Options {
            config: Some(config.clone()),
            run_dir: Some("/from/flag".into()),
            ..Options::default()
        };
        let settings = Settings::gather(&options).unwrap();
        assert_eq!(settings.state_dir, Path::new("/from/file"));
        assert_eq!(settings.run_dir, Path::new("/from/flag"));
        assert_eq!(settings.listen.port(), 7070);
        std::fs::write(&config, "statedir = 1").unwrap();
        assert!(Settings::gather(&options).is_err());
    }
}
