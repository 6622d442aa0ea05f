//! The one-time token of the first start: 128 bits, 15 minutes, ten tries, one use.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use subtle::ConstantTimeEq as _;

use super::random_bytes;

const LIFE: Duration = Duration::from_mins(15);
const TRIES: u32 = 10;
/// The token's file in the state directory, mode 0600.
const FILE: &str = "setup-token";

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// It is another one.
    #[error("wrong set-up token")]
    Wrong,
    /// It was tried too often or is too old.
    #[error("the set-up token is no longer valid")]
    Dead,
    /// An administrator exists, or is being made by another request.
    #[error("the administrator exists already")]
    Done,
    /// It could not be made.
    #[error("make the set-up token: {0}")]
    Io(String),
}

/// The token of this start.
#[derive(Debug)]
pub struct SetupToken {
    state: Mutex<State>,
    file: PathBuf,
}

enum State {
    Waiting {
        token: String,
        made: Instant,
        tries_left: u32,
        claimed: bool,
    },
    Done,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting { .. } => "Waiting",
            Self::Done => "Done",
        })
    }
}

/// The right to make the administrator; given back when it is dropped unused.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    token: &'a SetupToken,
    finished: bool,
}

impl SetupToken {
    /// Set-up is not due.
    pub(super) fn done(state_dir: &Path) -> Self {
        let token = Self {
            state: Mutex::new(State::Done),
            file: state_dir.join(FILE),
        };
        token.remove_file();
        token
    }

    /// Makes a token and writes its file.
    pub(super) fn generate(state_dir: &Path) -> Result<Self, SetupError> {
        let token = random_bytes::<16>()
            .map(hex::encode)
            .map_err(|e| SetupError::Io(e.to_string()))?;
        let file = state_dir.join(FILE);
        crate::files::write_private(&file, token.as_bytes())
            .map_err(|e| SetupError::Io(format!("write {}: {e}", file.display())))?;
        let state = State::Waiting {
            token,
            made: Instant::now(),
            tries_left: TRIES,
            claimed: false,
        };
        Ok(Self {
            state: Mutex::new(state),
            file,
        })
    }

    /// An administrator exists.
    pub fn is_done(&self) -> bool {
        matches!(*self.lock(), State::Done)
    }

    pub(super) fn to_print(&self) -> Option<String> {
        match &*self.lock() {
            State::Waiting { token, .. } => Some(token.clone()),
            State::Done => None,
        }
    }

    /// Takes the token when it is right; only one request holds it at a time.
    pub(super) fn claim(&self, given: &str) -> Result<Claim<'_>, SetupError> {
        let mut state = self.lock();
        let State::Waiting {
            token,
            made,
            tries_left,
            claimed,
        } = &mut *state
        else {
            return Err(SetupError::Done);
        };
        if *tries_left == 0 || made.elapsed() > LIFE {
            return Err(SetupError::Dead);
        }
        if !bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
            *tries_left -= 1;
            return Err(SetupError::Wrong);
        }
        if *claimed {
            return Err(SetupError::Done);
        }
        *claimed = true;
        Ok(Claim {
            token: self,
            finished: false,
        })
    }

    pub(super) fn finish(&self) {
        *self.lock() = State::Done;
        self.remove_file();
    }

    fn remove_file(&self) {
        // Nothing depends on it: the token in it opens nothing any more.
        drop(std::fs::remove_file(&self.file));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// The administrator is made: the token is dead.
    pub(super) fn finish(mut self) {
        self.finished = true;
        self.token.finish();
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.finished
            && let State::Waiting { claimed, .. } = &mut *self.token.lock()
        {
            *claimed = false;
        }
    }
}
