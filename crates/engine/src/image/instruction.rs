//! The instructions of `--change` (import, commit): some of a Dockerfile's, applied to a configuration.
//!
//! Source: Dockerfile reference; moby daemon/builder/dockerfile (which instructions may be changes, what each does).

use serde_json::json;

use super::config::Defaults;
use crate::error::{EngineError, Result};

mod words;

pub(crate) use words::Words;

/// Nanoseconds since the Unix epoch stand for durations here.
type Nanoseconds = i64;

/// What instructions have asked of a configuration.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// `CMD` was among them: an `ENTRYPOINT` leaves it alone then.
    pub(crate) command: bool,
}

/// Applies instructions, one after the other.
///
/// # Errors
/// `Invalid` with the instruction that is none, may not be a change, or lacks something.
pub(crate) fn apply(config: &mut Defaults, changes: &[String]) -> Result<()> {
    let mut done = Done::default();
    for change in changes {
        for line in lines(change) {
            one(config, &mut done, &line)
                .map_err(|why| EngineError::Invalid(format!("invalid change {line:?}: {why}")))?;
        }
    }
    Ok(())
}

/// The instructions in a text: comments and empty lines are none, a backslash at the end of a line goes on in the next.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if pending.is_empty() && (trimmed.is_empty() || trimmed.starts_with('#')) {
            continue;
        }
        if let Some(begun) = trimmed.strip_suffix('\\') {
            pending.push_str(begun);
            continue;
        }
        pending.push_str(trimmed);
        lines.push(std::mem::take(&mut pending));
    }
    if !pending.is_empty() {
        lines.push(pending);
    }
    lines
}

fn one(config: &mut Defaults, done: &mut Done, line: &str) -> Result<(), String> {
    let (name, rest) = line
        .split_once(char::is_whitespace)
        .map_or((line, ""), |(name, rest)| (name, rest.trim()));
    let name = name.to_ascii_uppercase();
    let words = Words::new(&config.env, '\\');
    if name == "SHELL" {
        return Err(format!("{name} is not a valid change command"));
    }
    apply_one(config, done, (&name, rest), &words)
}

/// Applies one instruction, whose name is in capitals, to a configuration.
///
/// # Errors
/// What is wrong with it; that it changes no configuration.
pub(crate) fn apply_one(
    config: &mut Defaults,
    done: &mut Done,
    (name, rest): (&str, &str),
    words: &Words,
) -> Result<(), String> {
    let word = |text: &str| {
        let text = words.expand(text)?;
        if text.is_empty() {
            return Err(format!("{name} requires exactly one argument"));
        }
        Ok(text)
    };
    match name {
        "CMD" => {
            config.cmd = command(rest, &config.shell);
            done.command = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = command(rest, &config.shell);
            if !done.command {
                // It was meant for another program.
                config.cmd.clear();
            }
        }
        "ENV" => {
            for (key, value) in pairs(words, rest, name)? {
                set_variable(&mut config.env, &key, &value);
            }
        }
        "LABEL" => config.labels.extend(pairs(words, rest, name)?),
        "EXPOSE" => {
            for port in words.split(rest)? {
                for port in ports(&port)? {
                    config.exposed_ports.insert(port, json!({}));
                }
            }
        }
        "VOLUME" => {
            let paths = match serde_json::from_str::<Vec<String>>(rest) {
                Ok(paths) => paths,
                Err(_) => words.split(rest)?,
            };
            if paths.is_empty() || paths.iter().any(String::is_empty) {
                return Err("VOLUME requires at least one argument".to_owned());
            }
            config
                .volumes
                .extend(paths.into_iter().map(|path| (path, json!({}))));
        }
        "USER" => config.user = word(rest)?,
        "WORKDIR" => config.working_dir = directory(&config.working_dir, &word(rest)?),
        "STOPSIGNAL" => config.stop_signal = signal(word(rest)?)?,
        "HEALTHCHECK" => config.healthcheck = Some(health_check(rest, &config.shell)?),
        "ONBUILD" => config.on_build.push(trigger(rest)?),
        "SHELL" => {
            config.shell = serde_json::from_str(rest)
                .ok()
                .filter(|words: &Vec<String>| !words.is_empty())
                .ok_or("SHELL requires the arguments to be in JSON form")?;
        }
        _ => return Err(format!("{name} is not a valid change command")),
    }
    Ok(())
}

/// A command in its JSON form, or as a line for the shell.
pub(crate) fn command(text: &str, shell: &[String]) -> Vec<String> {
    if let Ok(words) = serde_json::from_str(text) {
        return words;
    }
    if text.is_empty() {
        return Vec::new();
    }
    let mut line = shell.to_vec();
    if line.is_empty() {
        line = vec!["/bin/sh".to_owned(), "-c".to_owned()];
    }
    line.push(text.to_owned());
    line
}

/// `key=value key="other value"`, or the old form `key value with spaces`.
fn pairs(words: &Words, text: &str, name: &str) -> Result<Vec<(String, String)>, String> {
    let missing = || format!("{name} must have two arguments");
    let first = text.split(char::is_whitespace).next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or_else(missing)?;
        return Ok(vec![(words.expand(key)?, words.expand(value.trim())?)]);
    }
    words
        .split_raw(text)?
        .into_iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                format!("Syntax error - can't find = in {pair:?}. Must be of the form: name=value")
            })?;
            let key = words.expand(key)?;
            if key.is_empty() {
                return Err(format!("{name} names can not be blank"));
            }
            Ok((key, words.expand(value)?))
        })
        .collect()
}

fn set_variable(env: &mut Vec<String>, key: &str, value: &str) {
    let variable = format!("{key}={value}");
    let same = |entry: &&mut String| entry.split_once('=').is_some_and(|(name, _)| name == key);
    match env.iter_mut().find(same) {
        Some(entry) => *entry = variable,
        None => env.push(variable),
    }
}

/// `80`, `80/udp` or `8000-8010/tcp` as keys of exposed ports.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let invalid = || format!("invalid containerPort: {text}");
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().map_err(|_malformed| invalid());
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

/// A working directory, below the one before when it is relative.
pub(crate) fn directory(before: &str, path: &str) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{before}/{path}")
    };
    crate::container::clean_absolute(&joined).unwrap_or(joined)
}

fn signal(text: String) -> Result<String, String> {
    crate::container::signals::parse(&text)
        .map(|_number| text.clone())
        .map_err(|_unknown| format!("invalid signal: {text}"))
}

/// `NONE`, or options and `CMD …`.
fn health_check(
    text: &str,
    shell: &[String],
) -> Result<bollard_stubs::models::HealthConfig, String> {
    let mut check = bollard_stubs::models::HealthConfig::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option
            .split_once(char::is_whitespace)
            .unwrap_or((option, ""));
        rest = after.trim();
        let (key, value) = option
            .split_once('=')
            .ok_or_else(|| format!("missing a value on flag: {option}"))?;
        let invalid = || format!("invalid value for {key}: {value:?}");
        let duration = || -> Result<Option<Nanoseconds>, String> {
            crate::time::parse_go_duration_ns(value)
                .filter(|ns| *ns >= 0)
                .map(Some)
                .ok_or_else(invalid)
        };
        match key {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => {
                let retries: u16 = value.parse().map_err(|_malformed| invalid())?;
                check.retries = Some(retries.into());
            }
            _ => return Err(format!("unknown flag: {key}")),
        }
    }
    let (kind, rest) = rest
        .split_once(char::is_whitespace)
        .map_or((rest, ""), |(kind, rest)| (kind, rest.trim()));
    check.test = Some(match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => vec!["NONE".to_owned()],
        "NONE" => return Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "CMD" if rest.is_empty() => return Err("missing command after HEALTHCHECK CMD".to_owned()),
        "CMD" => match serde_json::from_str::<Vec<String>>(rest) {
            Ok(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            // With a shell of the image's own the words for it are given, as in the command itself.
            Err(_) if !shell.is_empty() => std::iter::once("CMD".to_owned())
                .chain(command(rest, shell))
                .collect(),
            Err(_) => vec!["CMD-SHELL".to_owned(), rest.to_owned()],
        },
        _ => {
            return Err(format!(
                "unknown type {kind:?}: HEALTHCHECK takes CMD or NONE"
            ));
        }
    });
    Ok(check)
}

/// What is done when the image is built on.
fn trigger(text: &str) -> Result<String, String> {
    let name = text.split(char::is_whitespace).next().unwrap_or_default();
    match name.to_ascii_uppercase().as_str() {
        "" => Err("ONBUILD requires at least one argument".to_owned()),
        "ONBUILD" => Err("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned()),
        name @ ("FROM" | "MAINTAINER") => {
            Err(format!("{name} isn't allowed as an ONBUILD trigger"))
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changed(before: &Defaults, changes: &[&str]) -> Result<Defaults> {
        let mut config = before.clone();
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        apply(&mut config, &changes)?;
        Ok(config)
    }

    fn of_nothing(changes: &[&str]) -> Defaults {
        changed(&Defaults::default(), changes).unwrap()
    }

    #[test]
    fn every_instruction_does_its_own() {
        let config = of_nothing(&[
            r#"CMD ["a","b"]"#,
            "entrypoint run it",
            "ENV K=v L=\"two words\" M=it\\ is",
            "ENV OLD form of it",
            "LABEL x=y \"quoted key\"='single $K'",
            "EXPOSE 80 53/udp 8000-8002/TCP",
            r#"VOLUME ["/a", "/b c"]"#,
            "VOLUME /d /e",
            "USER web:www",
            "WORKDIR /w",
            "WORKDIR sub/../other",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN make",
        ]);
        assert_eq!(config.cmd, ["a", "b"]);
        assert_eq!(config.entrypoint, ["/bin/sh", "-c", "run it"]);
        assert_eq!(
            config.env,
            ["K=v", "L=two words", "M=it is", "OLD=form of it"]
        );
        assert_eq!(config.labels["x"], "y");
        assert_eq!(config.labels["quoted key"], "single $K");
        let ports: Vec<_> = config.exposed_ports.keys().map(String::as_str).collect();
        assert_eq!(
            ports,
            ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]
        );
        let volumes: Vec<_> = config.volumes.keys().map(String::as_str).collect();
        assert_eq!(volumes, ["/a", "/b c", "/d", "/e"]);
        assert_eq!(
            (config.user.as_str(), config.working_dir.as_str()),
            ("web:www", "/w/other")
        );
        assert_eq!(config.stop_signal, "SIGQUIT");
        assert_eq!(config.on_build, ["RUN make"]);
    }

    #[test]
    fn an_entry_point_drops_the_command_of_another() {
        let before = of_nothing(&["CMD old", "ENV A=1"]);
        assert!(
            changed(&before, &["ENTRYPOINT new"])
                .unwrap()
                .cmd
                .is_empty()
        );
        let both = changed(&before, &["CMD [\"x\"]", "ENTRYPOINT new"]).unwrap();
        assert_eq!(both.cmd, ["x"]);
        let own = changed(&before, &["ENV A=2"]).unwrap();
        assert_eq!(own.env, ["A=2"]);
        assert!(changed(&before, &["CMD []"]).unwrap().cmd.is_empty());
    }

    #[test]
    fn variables_are_those_of_the_configuration() {
        let before = of_nothing(&["ENV HOME=/h", "ENV EMPTY="]);
        let config = changed(
            &before,
            &[
                "WORKDIR $HOME/x",
                "LABEL a=${HOME}/y b='$HOME' c=\\$HOME d=\"${EMPTY:-none}\" e=${HOME:+set} f=$NONE.",
            ],
        )
        .unwrap();
        assert_eq!(config.working_dir, "/h/x");
        let of = |key: &str| config.labels[key].as_str();
        assert_eq!(
            ["a", "b", "c", "d", "e", "f"].map(of),
            ["/h/y", "$HOME", "$HOME", "none", "set", "."]
        );
        // A command is for its own shell to read.
        assert_eq!(
            changed(&before, &["CMD echo $HOME"]).unwrap().cmd[2],
            "echo $HOME"
        );
    }

    #[test]
    fn health_checks_are_read() {
        let check = |text: &str| of_nothing(&[text]).healthcheck.unwrap();
        let full = check(
            "HEALTHCHECK --interval=5s --timeout=1m30s --retries=2 --start-period=0s CMD curl -f /",
        );
        assert_eq!(full.test.unwrap(), ["CMD-SHELL", "curl -f /"]);
        assert_eq!(
            (full.interval, full.timeout),
            (Some(5_000_000_000), Some(90_000_000_000))
        );
        assert_eq!((full.retries, full.start_period), (Some(2), Some(0)));
        assert_eq!(check("HEALTHCHECK CMD [\"a\"]").test.unwrap(), ["CMD", "a"]);
        assert_eq!(check("HEALTHCHECK NONE").test.unwrap(), ["NONE"]);
    }

    #[test]
    fn a_text_may_hold_several_lines() {
        let config = of_nothing(&["# nothing\n\nENV A=1 \\\n  B=2\nUSER x\n"]);
        assert_eq!(config.env, ["A=1", "B=2"]);
        assert_eq!(config.user, "x");
    }

    #[test]
    fn what_is_no_change_is_refused_by_name() {
        for (change, part) in [
            ("RUN x", "RUN is not a valid change command"),
            ("FROM x", "FROM is not a valid change command"),
            ("SHELL [\"x\"]", "SHELL is not a valid"),
            ("ENV A", "two arguments"),
            ("ENV =x", "blank"),
            ("LABEL a=b c", "can't find ="),
            ("EXPOSE 80/icmp", "invalid proto"),
            ("EXPOSE 70000", "invalid containerPort"),
            ("EXPOSE 9-8", "invalid containerPort"),
            ("USER", "requires"),
            ("STOPSIGNAL SIGX", "invalid signal"),
            ("HEALTHCHECK", "unknown type"),
            ("HEALTHCHECK --interval=x CMD y", "invalid value"),
            ("ONBUILD FROM x", "isn't allowed"),
            ("LABEL a=\"open", "quote"),
            ("VOLUME", "at least one"),
        ] {
            let message = changed(&Defaults::default(), &[change])
                .unwrap_err()
                .to_string();
            assert!(message.contains(part), "{change}: {message}");
        }
    }

    proptest! {
        #[test]
        fn no_change_breaks_the_parser(
            name in "(CMD|ENV|LABEL|EXPOSE|VOLUME|USER|WORKDIR|HEALTHCHECK|ONBUILD|STOPSIGNAL|[A-Z]{1,6})",
            rest in "[ -~ä\n\t]{0,60}",
        ) {
            drop(changed(&of_nothing(&["ENV A=1"]), &[&format!("{name} {rest}")]));
        }

        #[test]
        fn quoted_values_come_through(value in "[^\"\\\\$\r\n\0]{0,40}") {
            let config = of_nothing(&[&format!("ENV A=\"{value}\"")]);
            prop_assert_eq!(&config.env[0], &format!("A={value}"));
        }
    }
}
