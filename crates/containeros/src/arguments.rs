//! What can be said on the command line and in the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::LogFormat;

/// Runs and watches containers on Docker Engine and on Mini, its own engine, from one page.
#[derive(Debug, Parser)]
#[command(
    name = "containeros",
    version,
    propagate_version = true,
    args_override_self = true
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes; a flag goes before the environment, that before the file, that before the default.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Where state is kept: images, volumes, records, accounts.
    #[arg(long, global = true, env = "CONTAINEROS_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where is kept what is only true until reboot, and Mini's socket mini.sock.
    #[arg(long, global = true, env = "CONTAINEROS_RUN_DIR", value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// The address of the page; other than loopback it is served with TLS.
    #[arg(
        long,
        global = true,
        env = "CONTAINEROS_LISTEN",
        value_name = "ADDRESS:PORT"
    )]
    pub(crate) listen: Option<SocketAddr>,
    /// Where Docker Engine is: unix://, npipe://, tcp://; found by looking when not said.
    #[arg(long, global = true, env = "CONTAINEROS_DOCKER", value_name = "URL")]
    pub(crate) docker: Option<String>,
    /// The program mini; beside this program when not said.
    #[arg(
        long,
        global = true,
        env = "CONTAINEROS_MINI_PATH",
        value_name = "FILE"
    )]
    pub(crate) mini_path: Option<PathBuf>,
    /// The archive of the starter image; beside this program when not said.
    #[arg(long, global = true, env = "CONTAINEROS_STARTER", value_name = "FILE")]
    pub(crate) starter: Option<PathBuf>,
    /// Another name of this server that the page may be opened under; can be given several times.
    #[arg(
        long,
        global = true,
        env = "CONTAINEROS_ALLOW_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) allow_host: Vec<String>,
    /// What is logged: error, warn, info, debug, or targets such as server=debug.
    #[arg(long, global = true, env = "CONTAINEROS_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How it is logged.
    #[arg(
        long,
        global = true,
        env = "CONTAINEROS_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    pub(crate) log_format: Option<LogFormat>,
    /// The file of settings.
    #[arg(long, global = true, env = "CONTAINEROS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the page and the API; on Linux as root also host the Mini engine.
    Serve(ServeOptions),
    /// Run the Mini engine alone; the docker command talks to it with -H unix://RUN_DIR/mini.sock.
    Engine,
    /// Tell what this machine can do, what it cannot, and what would help.
    Doctor(DoctorOptions),
    /// Add a user or give one a new password.
    #[command(subcommand)]
    User(UserCommand),
    /// Print the settings that are in force.
    Config,
}

/// Of `serve`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ServeOptions {
    /// Do not host Mini here; it is used all the same when another process hosts it in the same run directory.
    #[arg(long)]
    pub(crate) no_mini: bool,
    /// Serve without TLS on an address that others reach; passwords can be read on the way.
    #[arg(long)]
    pub(crate) insecure_http: bool,
}

/// Of `doctor`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct DoctorOptions {
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// About users. The password is read from standard input.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user.
    Add {
        /// The name.
        name: String,
        /// What the user may do.
        #[arg(long, value_enum, default_value_t = RoleName::Admin)]
        role: RoleName,
    },
    /// Give a user a new password and end the user's sessions.
    Reset {
        /// The name.
        name: String,
    },
}

/// A role on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Reads.
    Viewer,
    /// Also runs containers without privileges.
    Operator,
    /// Everything: the same as root on the host.
    Admin,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_flags_may_stand_behind_the_verb() {
        Arguments::command().debug_assert();
        let arguments =
            Arguments::try_parse_from(["containeros", "serve", "--state-dir", "/s", "--no-mini"])
                .unwrap();
        assert_eq!(arguments.options.state_dir, Some("/s".into()));
        // Of a setting said twice the last counts, so that a script's own can be overruled.
        let twice = [
            "containeros",
            "serve",
            "--docker",
            "a",
            "--docker",
            "b",
            "--allow-host",
            "x",
            "--allow-host",
            "y",
        ];
        let options = Arguments::try_parse_from(twice).unwrap().options;
        assert_eq!(options.docker.as_deref(), Some("b"));
        assert_eq!(options.allow_host, ["x", "y"]);
        assert!(matches!(
            arguments.command,
            Command::Serve(ServeOptions { no_mini: true, .. })
        ));
    }
}
