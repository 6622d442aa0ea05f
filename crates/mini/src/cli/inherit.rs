//! Descriptors of the caller that the program gets: those of socket activation, and those of `--preserve-fds`.
//!
//! They stand behind the standard streams, at the numbers they have here.
//!
//! Source: `man 3 sd_listen_fds`.

use crate::error::{Error, Result};

/// The first number behind the standard streams.
const FIRST: u32 = 3;

/// What is passed on.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// How many descriptors, from number 3 on.
    pub(crate) count: u32,
    /// What the program must be told of them.
    pub(crate) environment: Vec<String>,
}

impl Inherited {
    /// Of the words of a command line those that name a descriptor (`/dev/fd/63`, as a shell gives for `<(…)`): it is
    /// open until the command is done.
    pub(crate) fn named<'w>(words: impl Iterator<Item = &'w str>) -> Vec<i32> {
        words
            .filter_map(|word| {
                let (_, number) = ["/dev/fd/", "/proc/self/fd/"]
                    .iter()
                    .find_map(|directory| word.split_once(directory))?;
                let digits = number.split('/').next()?;
                digits.parse().ok()
            })
            .collect()
    }

    /// The first number behind them.
    pub(crate) fn end(&self) -> u32 {
        FIRST.saturating_add(self.count)
    }

    /// Those of socket activation, if they are meant for this process, and `preserve` more. To be called before anything
    /// is opened: what is open then is the caller's.
    ///
    /// # Errors
    /// `Invalid` when one of them is not open.
    pub(crate) fn find(preserve: u32, with_listening: bool) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let number = |name: &str| variable(name)?.parse::<u32>().ok();
        let listening = number("LISTEN_FDS")
            .filter(|_| with_listening && number("LISTEN_PID") == Some(std::process::id()))
            .unwrap_or(0);
        let mut environment = Vec::new();
        if listening > 0 {
            // The program is the first process of the container.
            environment = vec![format!("LISTEN_FDS={listening}"), "LISTEN_PID=1".into()];
            environment
                .extend(variable("LISTEN_FDNAMES").map(|names| format!("LISTEN_FDNAMES={names}")));
        }
        let first = FIRST.saturating_add(listening);
        for index in 0..preserve {
            let path = format!("/proc/self/fd/{}", first.saturating_add(index));
            std::fs::symlink_metadata(&path).map_err(|_| {
                Error::invalid(format!(
                    "unable to stat preserved-fd {index} (of {preserve}): descriptor {} is not open",
                    first.saturating_add(index)
                ))
            })?;
        }
        Ok(Self {
            count: listening.saturating_add(preserve),
            environment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_in_words_are_found() {
        let words = ["--process=/dev/fd/63", "/proc/self/fd/7/x", "/dev/fd/", "9"];
        assert_eq!(Inherited::named(words.into_iter()), [63, 7]);
    }

    #[test]
    fn what_is_not_open_is_refused() {
        let error = Inherited::find(100_000, false).unwrap_err();
        assert!(
            error.to_string().contains("unable to stat preserved-fd"),
            "{error}"
        );
        assert_eq!(Inherited::find(0, true).unwrap().count, 0);
    }
}
