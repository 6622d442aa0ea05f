//! Reading a secret from standard input.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;

/// Reads one line; a terminal does not show it.
pub(crate) fn read_secret(prompt: &str) -> anyhow::Result<String> {
    let input = std::io::stdin();
    let _hidden = if input.is_terminal() {
        write!(std::io::stderr(), "{prompt}: ").context("ask")?;
        echo::Hidden::begin()
    } else {
        None
    };
    let mut line = String::new();
    input
        .lock()
        .read_line(&mut line)
        .context("read standard input")?;
    if input.is_terminal() {
        writeln!(std::io::stderr()).context("ask")?;
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(unix)]
mod echo {
    //! The terminal's echo, off while this lives.

    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    pub(super) struct Hidden(Termios);

    impl Hidden {
        pub(super) fn begin() -> Option<Self> {
            let before = tcgetattr(std::io::stdin()).ok()?;
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent).ok()?;
            Some(Self(before))
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            // Nothing else can be done; `stty sane` brings it back.
            tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0).unwrap_or_default();
        }
    }
}

#[cfg(not(unix))]
mod echo {
    //! Not hidden here.

    pub(super) struct Hidden;

    impl Hidden {
        pub(super) fn begin() -> Option<Self> {
            None
        }
    }
}
