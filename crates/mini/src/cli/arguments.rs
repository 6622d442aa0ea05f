//! Reads a command line as Go's `flag` package does, which runc's callers write for: `-name`, `--name`, `--name=value`, switches
//! with `=false`, `--` before words that look like flags; flags stand before or behind the container's id.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use crate::cli::flags::{self, Flag, GLOBAL, Verb};
use crate::error::{Error, Result};
use crate::rootless;

/// Flags before the verb.
#[derive(Debug)]
pub(crate) struct Globals {
    pub(crate) root: PathBuf,
    /// `--root` was given: it must be there for `list` then.
    pub(crate) root_given: bool,
    /// [`None`]: found out.
    pub(crate) rootless: Option<bool>,
    /// Cgroups are made by systemd.
    pub(crate) systemd_cgroup: bool,
    pub(crate) log: Option<PathBuf>,
    pub(crate) log_json: bool,
    pub(crate) debug: bool,
    pub(crate) trace: Option<PathBuf>,
}

impl Default for Globals {
    fn default() -> Self {
        Self {
            root: rootless::default_root(),
            root_given: false,
            rootless: None,
            systemd_cgroup: false,
            log: None,
            log_json: false,
            debug: false,
            trace: None,
        }
    }
}

/// What the global flags lead to.
#[derive(Debug)]
pub(crate) enum Command {
    /// The program's help.
    Help,
    /// Its version.
    Version,
    /// The help of a verb.
    HelpOf(&'static Verb),
    /// A verb.
    Verb(&'static Verb),
}

/// An argument before it is taken.
#[derive(Debug)]
enum Argument {
    /// A flag, by its long name.
    Flag(&'static str),
    /// A switch with `=false`.
    SwitchedOff,
    /// Something else.
    Word,
}

/// What is left of the command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    left: VecDeque<OsString>,
    verb: Option<&'static Verb>,
    value: Option<OsString>,
    words: VecDeque<OsString>,
}

impl Arguments {
    pub(crate) fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            left: arguments.into_iter().collect(),
            verb: None,
            value: None,
            words: VecDeque::new(),
        }
    }

    /// Takes the global flags and the verb.
    pub(crate) fn globals(&mut self, globals: &mut Globals) -> Result<Command> {
        while let Some(argument) = self.left.pop_front() {
            let flag = match self.look_at(GLOBAL, &argument)? {
                Argument::Flag(flag) => flag,
                Argument::SwitchedOff => continue,
                Argument::Word if argument == "--" => continue,
                Argument::Word => return self.verb(&text(argument)?),
            };
            match flag {
                "--root" => {
                    globals.root = absolute(self.path()?)?;
                    globals.root_given = true;
                }
                "--log" => globals.log = Some(self.path()?),
                "--log-format" => {
                    globals.log_json = match self.text()?.as_str() {
                        "json" => true,
                        "text" | "" => false,
                        other => {
                            return Err(Error::invalid(format!("invalid log-format: {other}"))
                                .with_hint("the formats are text and json"));
                        }
                    }
                }
                "--trace" => globals.trace = Some(self.path()?),
                "--debug" => globals.debug = true,
                "--rootless" => globals.rootless = rootless_of(&self.text()?)?,
                "--systemd-cgroup" => globals.systemd_cgroup = true,
                "--criu" => drop(self.text()?),
                "--version" => return Ok(Command::Version),
                _ => return Ok(Command::Help),
            }
        }
        Ok(Command::Help)
    }

    fn verb(&mut self, name: &str) -> Result<Command> {
        if matches!(name, "help" | "h") {
            return match self.left.pop_front() {
                None => Ok(Command::Help),
                Some(name) => known(&text(name)?).map(Command::HelpOf),
            };
        }
        let verb = known(name)?;
        self.verb = Some(verb);
        if self.wants_help(verb) {
            return Ok(Command::HelpOf(verb));
        }
        Ok(Command::Verb(verb))
    }

    /// Whether `--help` stands where a flag of this verb may stand.
    fn wants_help(&self, verb: &Verb) -> bool {
        let mut arguments = self.left.iter();
        while let Some(argument) = arguments.next() {
            let Some((name, value)) = split(argument) else {
                if verb.word_ends_flags || argument == "--" {
                    return false;
                }
                continue;
            };
            match flags::flag(verb.flags, &name) {
                Some(flag) if !flag.value.is_empty() && value.is_none() => drop(arguments.next()),
                None if matches!(name.as_str(), "help" | "h") => return true,
                _ => {}
            }
        }
        false
    }

    /// What an argument is; a flag's value is kept for [`Self::text`] and the like.
    fn look_at(&mut self, known: &'static [Flag], argument: &OsString) -> Result<Argument> {
        let Some((name, value)) = split(argument) else {
            return Ok(Argument::Word);
        };
        let Some(flag) = flags::flag(known, &name) else {
            return Err(Self::unknown(&format!("-{name}")));
        };
        if flag.value.is_empty() {
            let on = match value {
                None => true,
                Some(value) => switch(&name, value)?,
            };
            return Ok(if on {
                Argument::Flag(flag.long)
            } else {
                Argument::SwitchedOff
            });
        }
        let value = value.or_else(|| self.left.pop_front());
        self.value =
            Some(value.ok_or_else(|| Error::invalid(format!("flag needs an argument: -{name}")))?);
        Ok(Argument::Flag(flag.long))
    }

    /// Takes all flags of the verb, keeps the words, and checks how many there are. `take` gets the flag's long name
    /// with two dashes, and asks for its value.
    pub(crate) fn flags(
        &mut self,
        mut take: impl FnMut(&str, &mut Self) -> Result<()>,
    ) -> Result<()> {
        let verb = self.verb.ok_or_else(|| {
            Error::invalid("a command is missing").with_hint("mini --help lists the commands")
        })?;
        while let Some(argument) = self.left.pop_front() {
            match self.look_at(verb.flags, &argument)? {
                Argument::Flag(flag) => take(flag, self)?,
                Argument::SwitchedOff => {}
                Argument::Word if argument == "--" => self.words.append(&mut self.left),
                Argument::Word => {
                    self.words.push_back(argument);
                    if verb.word_ends_flags {
                        self.words.append(&mut self.left);
                        // The one that ends our flags before a command.
                        if self.words.get(1).is_some_and(|word| word == "--") {
                            self.words.remove(1);
                        }
                    }
                }
            }
        }
        let (least, most) = verb.count;
        let count = self.words.len();
        let wanted = if least == most && count != least {
            format!("exactly {least}")
        } else if count < least {
            format!("a minimum of {least}")
        } else if count > most {
            format!("a maximum of {most}")
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!(
            "mini: {:?} requires {wanted} argument(s)",
            verb.name
        ))
        .with_hint(format!("mini {} --help", verb.name)))
    }

    /// As [`Self::flags`]; what stands behind the id is a command.
    pub(crate) fn flags_then_command(
        &mut self,
        take: impl FnMut(&str, &mut Self) -> Result<()>,
    ) -> Result<Vec<String>> {
        self.flags(take)?;
        self.words.drain(1..).map(text).collect()
    }

    /// The flag's value as text.
    pub(crate) fn text(&mut self) -> Result<String> {
        text(self.value.take().unwrap_or_default())
    }

    /// The flag's value as a path.
    pub(crate) fn path(&mut self) -> Result<PathBuf> {
        match self.value.take() {
            Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
            _ => Err(Error::invalid("a path must not be empty")
                .with_hint("name a file or directory behind the flag")),
        }
    }

    /// The flag's value as a number.
    pub(crate) fn number<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T> {
        let text = self.text()?;
        text.parse()
            .map_err(|error| Error::invalid(format!("invalid value {text:?}: {error}")))
    }

    /// The id, the first word.
    pub(crate) fn id(&mut self) -> Result<String> {
        match self.words.pop_front().map(text).transpose()? {
            Some(id) if !id.is_empty() => Ok(id),
            _ => Err(Error::invalid("container id cannot be empty")
                .with_hint("the id comes last: mini COMMAND [flags] ID")),
        }
    }

    /// The next word, if there is one.
    pub(crate) fn word(&mut self) -> Result<Option<String>> {
        self.words.pop_front().map(text).transpose()
    }

    pub(crate) fn unknown(flag: &str) -> Error {
        Error::invalid(format!("flag provided but not defined: {flag}"))
            .with_hint("--help after the command lists its flags")
    }
}

fn known(name: &str) -> Result<&'static Verb> {
    flags::find(name).ok_or_else(|| {
        Error::invalid(format!("No help topic for '{name}'"))
            .with_hint("there is no such command; mini --help lists them")
    })
}

/// Name and value of what looks like a flag.
fn split(argument: &OsString) -> Option<(String, Option<OsString>)> {
    let bytes = argument.as_bytes();
    let bare = bytes
        .strip_prefix(b"--")
        .or_else(|| bytes.strip_prefix(b"-"))
        .filter(|bare| !bare.is_empty())?;
    let end = bare.iter().position(|byte| *byte == b'=');
    let (name, value) = match end {
        Some(end) => (bare.get(..end)?, bare.get(end + 1..)),
        None => (bare, None),
    };
    Some((
        String::from_utf8_lossy(name).into_owned(),
        value.map(|value| OsString::from_vec(value.to_vec())),
    ))
}

fn switch(name: &str, value: OsString) -> Result<bool> {
    match text(value)?.as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(
            Error::invalid(format!("invalid boolean value {other:?} for -{name}"))
                .with_hint("write true or false behind =, or the flag alone"),
        ),
    }
}

/// The values of `--rootless`: `auto`, and those of a switch.
fn rootless_of(word: &str) -> Result<Option<bool>> {
    match word {
        "" | "auto" => Ok(None),
        other => switch("rootless", other.into()).map(Some),
    }
}

fn text(word: OsString) -> Result<String> {
    word.into_string().map_err(|word| {
        Error::invalid(format!("{:?} is not UTF-8", word.display().to_string()))
            .with_hint("write it in UTF-8")
    })
}

fn absolute(path: PathBuf) -> Result<PathBuf> {
    let path = std::path::absolute(&path).map_err(|_| {
        Error::invalid("--root must not be empty").with_hint("leave --root out for the usual place")
    })?;
    if path.parent().is_none() {
        return Err(
            Error::invalid("Option --root argument should not be set to /")
                .with_hint("name a directory of its own, such as /run/mini"),
        );
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags with their values, and words, of a line; or its error.
    fn parse(line: &str) -> Result<(Vec<String>, Vec<String>)> {
        let mut arguments = Arguments::new(line.split_ascii_whitespace().map(OsString::from));
        let mut globals = Globals::default();
        assert!(matches!(arguments.globals(&mut globals)?, Command::Verb(_)));
        let mut seen = Vec::new();
        arguments.flags(|flag, arguments| {
            let value = arguments.text()?;
            seen.push(if value.is_empty() {
                flag.to_owned()
            } else {
                format!("{flag}={value}")
            });
            Ok(())
        })?;
        let words = arguments.words.drain(..).map(text);
        Ok((seen, words.collect::<Result<_>>()?))
    }

    #[test]
    fn flags_stand_before_and_behind_the_id_in_every_form() {
        for line in [
            "create --bundle /b --pid-file p x",
            "create x --bundle /b --pid-file p",
            "create --bundle=/b x -pid-file=p",
            "create -b /b --pid-file p -- x",
            "--root /r --log-format json create -bundle /b -pid-file p x",
        ] {
            let (flags, words) = parse(line).unwrap();
            assert_eq!(flags, ["--bundle=/b", "--pid-file=p"], "{line}");
            assert_eq!(words, ["x"], "{line}");
        }
        let (flags, _) = parse("delete --force=false x").unwrap();
        assert!(flags.is_empty());
        let (flags, _) = parse("delete x -f=true").unwrap();
        assert_eq!(flags, ["--force"]);
    }

    #[test]
    fn what_stands_behind_the_id_of_exec_is_the_command() {
        for line in ["exec -t x ls -t --help", "exec --tty x -- ls -t --help"] {
            let (flags, words) = parse(line).unwrap();
            assert_eq!(flags, ["--tty"], "{line}");
            assert_eq!(words, ["x", "ls", "-t", "--help"], "{line}");
        }
        let (_, words) = parse("exec x ls -- -l").unwrap();
        assert_eq!(words, ["x", "ls", "--", "-l"]);
        let (_, words) = parse("kill x -9").unwrap();
        assert_eq!(words, ["x", "-9"]);
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_runc() {
        for (line, words) in [
            ("create", r#""create" requires exactly 1 argument(s)"#),
            ("create x y", r#""create" requires exactly 1 argument(s)"#),
            ("exec", r#""exec" requires a minimum of 1 argument(s)"#),
            (
                "kill x 9 9",
                r#""kill" requires a maximum of 2 argument(s)"#,
            ),
            ("create --nope x", "flag provided but not defined: -nope"),
            ("create x --bundle", "flag needs an argument: -bundle"),
            ("nope x", "No help topic for 'nope'"),
            ("--log-format xml list", "invalid log-format: xml"),
            ("--root / list", "--root argument should not be set to /"),
            ("delete --force=maybe x", "invalid boolean value"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn help_is_asked_for_where_a_flag_may_stand() {
        let command = |line: &str| {
            let words = line.split_ascii_whitespace().map(OsString::from);
            Arguments::new(words)
                .globals(&mut Globals::default())
                .unwrap()
        };
        for line in [
            "create --help",
            "create x -h",
            "help create",
            "exec -h",
            "exec --env A=1 --help",
        ] {
            assert!(matches!(command(line), Command::HelpOf(_)), "{line}");
        }
        for line in ["exec x --help", "exec --env -h x true", "create -- --help"] {
            assert!(matches!(command(line), Command::Verb(_)), "{line}");
        }
        for line in ["", "--help", "-h", "help"] {
            assert!(matches!(command(line), Command::Help), "{line}");
        }
        assert!(matches!(command("-v"), Command::Version));
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in proptest::collection::vec("[-a-z=/ ]{0,8}", 0..6)) {
            let mut arguments = Arguments::new(line.into_iter().map(OsString::from));
            if let Ok(Command::Verb(_)) = arguments.globals(&mut Globals::default()) {
                drop(arguments.flags(|_, _| Ok(())));
            }
        }
    }
}
