//! What can be said on the command line and in the environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use api::id::{EngineName, TokenId};
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
    /// Another address where /metrics, /healthz and /readyz are told without sign-in and TLS, for Prometheus.
    #[arg(
        long,
        global = true,
        env = "CONTAINEROS_METRICS_LISTEN",
        value_name = "ADDRESS:PORT"
    )]
    pub(crate) metrics_listen: Option<SocketAddr>,
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
    /// Make, list or revoke API tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Check the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
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

/// About API tokens, for scripts: `Authorization: Bearer TOKEN`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it, alone and this once.
    Create {
        /// What it is for.
        name: String,
        /// The most it may do.
        #[arg(long, value_enum)]
        role: RoleName,
        /// How long it works: a number with s, m, h or d, such as 12h or 30d; at most 366d.
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        expires: Duration,
        /// It changes nothing.
        #[arg(long)]
        read_only: bool,
        /// Only this engine, docker or mini; can be given several times.
        #[arg(long, value_name = "ENGINE", value_parser = parse_engine)]
        engine: Vec<EngineName>,
    },
    /// List the tokens that exist, without their secrets.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token.
    Revoke {
        /// Its id, as the list shows it.
        #[arg(value_parser = parse_token_id)]
        id: TokenId,
    },
}

/// About the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of hashes; the exit code is 1 when it is broken.
    Verify,
}

/// Reads a number with its unit.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write a number with s, m, h or d, such as 30d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
    let life = Duration::from_secs(number.checked_mul(seconds).ok_or_else(wrong)?);
    if server::auth::TOKEN_LIFE.contains(&life) {
        Ok(life)
    } else {
        Err("a token works for one minute to 366 days".to_owned())
    }
}

fn parse_engine(text: &str) -> Result<EngineName, String> {
    EngineName::parse(text).map_err(|invalid| invalid.to_string())
}

fn parse_token_id(text: &str) -> Result<TokenId, String> {
    TokenId::parse(text).map_err(|invalid| invalid.to_string())
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

impl From<RoleName> for api::auth::Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn times_have_a_unit_and_bounds() {
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(parse_time("12h"), Ok(Duration::from_hours(12)));
        assert_eq!(parse_time("366d"), Ok(Duration::from_hours(366 * 24)));
        for bad in [
            "",
            "d",
            "5",
            "5 d",
            "-1d",
            "1.5d",
            "5w",
            "59s",
            "367d",
            "99999999999999999999d",
            "5ä",
        ] {
            assert!(parse_time(bad).is_err(), "{bad:?}");
        }
        assert!(parse_time("213503982334602d").is_err());
    }

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
