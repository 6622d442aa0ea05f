//! Flags and words, in any order, as runc takes them.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::error::{Error, Result};

/// Flags before the verb.
#[derive(Debug)]
pub(crate) struct Globals {
    pub(crate) root: PathBuf,
    pub(crate) log: Option<PathBuf>,
    pub(crate) log_json: bool,
    pub(crate) trace: Option<PathBuf>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/run/mini"),
            log: None,
            log_json: false,
            trace: None,
        }
    }
}

/// What is left of the command line.
pub(crate) struct Arguments {
    parser: Parser,
    words: Vec<String>,
}

impl Arguments {
    pub(crate) fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            parser: Parser::from_args(arguments),
            words: Vec::new(),
        }
    }

    /// Takes the global flags; the verb, or [`None`] when help is wanted.
    pub(crate) fn globals(&mut self, globals: &mut Globals) -> Result<Option<String>> {
        while let Some(argument) = self.parser.next().map_err(bad)? {
            match argument {
                Arg::Long("root") => globals.root = self.path()?,
                Arg::Long("log") => globals.log = Some(self.path()?),
                Arg::Long("log-format") => globals.log_json = self.text()? == "json",
                Arg::Long("trace") => globals.trace = Some(self.path()?),
                Arg::Long("debug") => {}
                Arg::Long("rootless") => {
                    if self.text()? == "true" {
                        return Err(Error::unsupported(
                            "--rootless=true is not offered: mini needs root",
                        ));
                    }
                }
                Arg::Long("systemd-cgroup") => {
                    return Err(Error::unsupported(
                        "--systemd-cgroup is not offered: cgroups are made in the file system",
                    ));
                }
                Arg::Long("version") | Arg::Short('v') => return Ok(Some("--version".into())),
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Value(verb) => return verb.string().map(Some).map_err(bad),
                other => return Err(bad(other.unexpected())),
            }
        }
        Ok(None)
    }

    /// Takes all flags, keeps the words. `--` ends the flags.
    pub(crate) fn flags(
        &mut self,
        mut take: impl FnMut(&str, &mut Self) -> Result<()>,
    ) -> Result<()> {
        while let Some(argument) = self.parser.next().map_err(bad)? {
            let flag = match argument {
                Arg::Long(name) => format!("--{name}"),
                Arg::Short(letter) => format!("-{letter}"),
                Arg::Value(word) => {
                    self.words.push(word.string().map_err(bad)?);
                    continue;
                }
            };
            take(&flag, self)?;
        }
        Ok(())
    }

    /// As [`Self::flags`], but what stands behind the id is a command, with flags of its own.
    pub(crate) fn flags_then_command(
        &mut self,
        mut take: impl FnMut(&str, &mut Self) -> Result<()>,
    ) -> Result<Vec<String>> {
        while let Some(argument) = self.parser.next().map_err(bad)? {
            let flag = match argument {
                Arg::Long(name) => format!("--{name}"),
                Arg::Short(letter) => format!("-{letter}"),
                Arg::Value(word) => {
                    self.words.push(word.string().map_err(bad)?);
                    let rest = self.parser.raw_args().map_err(bad)?;
                    let mut rest = rest
                        .map(|word| word.string().map_err(bad))
                        .collect::<Result<Vec<_>>>()?;
                    if rest.first().is_some_and(|word| word == "--") {
                        rest.remove(0);
                    }
                    return Ok(rest);
                }
            };
            take(&flag, self)?;
        }
        Ok(Vec::new())
    }

    /// The flag's value as text.
    pub(crate) fn text(&mut self) -> Result<String> {
        self.parser
            .value()
            .and_then(lexopt::ValueExt::string)
            .map_err(bad)
    }

    /// The flag's value as a path.
    pub(crate) fn path(&mut self) -> Result<PathBuf> {
        self.parser.value().map(PathBuf::from).map_err(bad)
    }

    /// The flag's value as a number.
    pub(crate) fn number<
        T: std::str::FromStr<Err: Into<Box<dyn std::error::Error + Send + Sync>>>,
    >(
        &mut self,
    ) -> Result<T> {
        self.parser
            .value()
            .and_then(|value| value.parse())
            .map_err(bad)
    }

    /// The id, the first word.
    pub(crate) fn id(&mut self) -> Result<String> {
        if self.words.is_empty() {
            return Err(Error::invalid("a container's id is missing"));
        }
        Ok(self.words.remove(0))
    }

    /// The next word, if there is one.
    pub(crate) fn word(&mut self) -> Option<String> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Nothing more may stand there.
    pub(crate) fn end(&self) -> Result<()> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(Error::invalid(format!("unexpected argument {word:?}"))),
        }
    }

    pub(crate) fn unknown(flag: &str) -> Error {
        Error::invalid(format!("flag provided but not defined: {flag}"))
    }
}

fn bad(error: lexopt::Error) -> Error {
    Error::invalid(error.to_string())
}
