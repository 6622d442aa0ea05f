//! The workload of the starter image: burns CPU, takes memory, forks, writes, logs, serves a page, tells its namespaces.
//!
//! Made for trying limits, by people and by tests: every command says what it did and what stopped it, and its exit
//! status tells the two apart. Static and without name service, so it runs in an image that has nothing else.

mod dns;
mod inside;
mod load;
mod output;
mod size;
mod stop;
mod web;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use lexopt::{Arg, Parser, ValueExt as _};

use output::{say, warn};

const HELP: &str = "\
lab: a workload for trying out containers

Usage: lab COMMAND [OPTIONS]

Load:
  cpu [--threads N] [--seconds S]     burn CPU; one thread and without end by default
  mem SIZE [--hold S|forever]         take SIZE of memory (such as 64m) and touch it, report, hold it (default 0 s)
  fork N [--hold S]                   start N processes that sleep; exit status 1 when fewer could be started
  write PATH SIZE [--sync]            write SIZE bytes to a file and report the rate
Output:
  log [--rate N] [--lines M] [--stderr-every K]
                                      N lines a second (default 1), M in all (default without end), each K-th to stderr
Network:
  serve [--port P]                    a page that tells of this container (default port 80); /json for programs
  get URL                             fetch http://HOST[:PORT]/PATH and print the body
  resolve NAME                        ask the name server in /etc/resolv.conf
Looking around:
  id                                  user, groups, capabilities, seccomp mode
  namespaces                          namespaces with their numbers, and limits
Other:
  sleep [SECONDS]                     without end by default; ends at once on SIGTERM
  exit CODE                           end with this status
  help                                this text

Exit status: 0 done, 1 stopped by a limit or an error, 2 wrong usage, 128+N ended by signal N.
";

/// Commands that may go on without end, and so must end when told to.
const LASTING: [&str; 7] = ["cpu", "mem", "fork", "write", "log", "serve", "get"];

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The command line is wrong.
    Usage(String),
    /// Something did not work, or a limit stopped it.
    Failed(String),
}

impl Problem {
    /// A function for `map_err`: what was done, and the cause.
    pub(crate) fn of<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> Self {
        move |cause| Self::Failed(format!("{what}: {cause}"))
    }
}

impl From<lexopt::Error> for Problem {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

fn main() -> ExitCode {
    match run(Parser::from_env()) {
        Ok(code) => ExitCode::from(code),
        Err(Problem::Usage(message)) => {
            warn(&format!("{message}\ntry: lab help"));
            ExitCode::from(2)
        }
        Err(Problem::Failed(message)) => {
            warn(&message);
            ExitCode::FAILURE
        }
    }
}

fn run(mut parser: Parser) -> Result<u8, Problem> {
    let command = match parser.next()? {
        Some(Arg::Value(command)) => command.string()?,
        None | Some(Arg::Long("help") | Arg::Short('h')) => "help".into(),
        Some(other) => return Err(other.unexpected().into()),
    };
    if LASTING.contains(&command.as_str())
        && let Err(error) = stop::end_on_signals()
    {
        warn(&format!("watch signals: {error}"));
    }
    match command.as_str() {
        "cpu" => {
            let (mut threads, mut seconds) = (1_usize, None);
            while let Some(argument) = parser.next()? {
                match argument {
                    Arg::Long("threads") => threads = parser.value()?.parse()?,
                    Arg::Long("seconds") => seconds = Some(duration(parser.value()?)?),
                    other => return Err(other.unexpected().into()),
                }
            }
            load::cpu(threads, seconds)
        }
        "mem" => {
            let (mut size, mut hold) = (None, Some(Duration::ZERO));
            while let Some(argument) = parser.next()? {
                match argument {
                    Arg::Long("hold") => hold = hold_time(parser.value()?)?,
                    Arg::Value(value) if size.is_none() => {
                        size = Some(size::parse(&value.string()?)?);
                    }
                    other => return Err(other.unexpected().into()),
                }
            }
            load::memory(size.ok_or_else(|| missing("SIZE"))?, hold)
        }
        "fork" => {
            let (mut count, mut hold) = (None, Some(Duration::ZERO));
            while let Some(argument) = parser.next()? {
                match argument {
                    Arg::Long("hold") => hold = hold_time(parser.value()?)?,
                    Arg::Value(value) if count.is_none() => count = Some(value.parse()?),
                    other => return Err(other.unexpected().into()),
                }
            }
            load::fork(count.ok_or_else(|| missing("N"))?, hold)
        }
        "write" => {
            let (mut words, mut sync) = (Vec::new(), false);
            while let Some(argument) = parser.next()? {
                match argument {
                    Arg::Long("sync") => sync = true,
                    Arg::Value(value) if words.len() < 2 => words.push(value),
                    other => return Err(other.unexpected().into()),
                }
            }
            match words.as_slice() {
                [path, size] => load::write(path, size::parse(&size.clone().string()?)?, sync),
                _ => Err(missing("PATH and SIZE")),
            }
        }
        "log" => {
            let (mut rate, mut lines, mut stderr_every) = (1.0_f64, None, 0_u64);
            while let Some(argument) = parser.next()? {
                match argument {
                    Arg::Long("rate") => rate = parser.value()?.parse()?,
                    Arg::Long("lines") => lines = Some(parser.value()?.parse()?),
                    Arg::Long("stderr-every") => stderr_every = parser.value()?.parse()?,
                    other => return Err(other.unexpected().into()),
                }
            }
            load::log(rate, lines, stderr_every)
        }
        "serve" => {
            let mut port = 80_u16;
            while let Some(argument) = parser.next()? {
                match argument {
                    Arg::Long("port") | Arg::Short('p') => port = parser.value()?.parse()?,
                    other => return Err(other.unexpected().into()),
                }
            }
            web::serve(port)
        }
        "get" => web::get(&one(&mut parser, "URL")?),
        "resolve" => {
            let addresses = dns::resolve(&one(&mut parser, "NAME")?)?;
            addresses
                .iter()
                .try_for_each(|address| say(&address.to_string()))?;
            Ok(0)
        }
        "id" => {
            nothing(&mut parser)?;
            inside::identity()
        }
        "namespaces" | "ns" => {
            nothing(&mut parser)?;
            inside::namespaces()
        }
        "sleep" => {
            let time = match parser.next()? {
                Some(Arg::Value(value)) => hold_time(value)?,
                None => None,
                Some(other) => return Err(other.unexpected().into()),
            };
            nothing(&mut parser)?;
            let signal = stop::wait(time).map_err(Problem::of("sleep"))?;
            Ok(signal.map_or(0, |number| u8::try_from(128 + number).unwrap_or(1)))
        }
        "exit" => {
            let code = one(&mut parser, "CODE")?;
            code.parse()
                .map_err(|_digits| Problem::Usage(format!("exit status {code:?} is not 0 to 255")))
        }
        "help" => {
            say(HELP.trim_end())?;
            Ok(0)
        }
        other => Err(Problem::Usage(format!("no command {other:?}"))),
    }
}

fn missing(what: &str) -> Problem {
    Problem::Usage(format!("missing {what}"))
}

fn one(parser: &mut Parser, what: &str) -> Result<String, Problem> {
    let value = match parser.next()? {
        Some(Arg::Value(value)) => value.string()?,
        Some(other) => return Err(other.unexpected().into()),
        None => return Err(missing(what)),
    };
    nothing(parser)?;
    Ok(value)
}

fn nothing(parser: &mut Parser) -> Result<(), Problem> {
    match parser.next()? {
        Some(other) => Err(other.unexpected().into()),
        None => Ok(()),
    }
}

fn duration(value: OsString) -> Result<Duration, Problem> {
    let text = value.string()?;
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| Problem::Usage(format!("{text:?} is not a number of seconds")))
}

/// A number of seconds, or `forever`.
fn hold_time(value: OsString) -> Result<Option<Duration>, Problem> {
    if value == "forever" {
        return Ok(None);
    }
    duration(value).map(Some)
}
