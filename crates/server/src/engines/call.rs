//! Calls to an engine: each has a deadline, and each answer that is no answer has a name.

use std::{future::Future, time::Duration};

use api::id::EngineName;
use bollard::{Docker, errors::Error};

use super::Engine;

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Reading what the engine has at hand: 10 s.
    Read,
    /// Changing something: 60 s.
    Write,
    /// Measuring, or waiting for a container to stop within this many seconds: 60 s more.
    Slow(u32),
}

impl Deadline {
    fn duration(self) -> Duration {
        match self {
            Self::Read => Duration::from_secs(10),
            Self::Write => Duration::from_mins(1),
            Self::Slow(seconds) => Duration::from_secs(60 + u64::from(seconds)),
        }
    }
}

/// Why a call to an engine did not work.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The engine answered with an error; its own words.
    #[error("{message}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The engine is not there.
    #[error("engine {engine} is not reachable: {reason}")]
    Unreachable {
        /// Which.
        engine: EngineName,
        /// Why.
        reason: String,
        /// What would help.
        hint: Option<String>,
    },
    /// No answer in time.
    #[error("engine {engine} did not answer within {seconds} s")]
    Timeout {
        /// Which.
        engine: EngineName,
        /// How long it had.
        seconds: u64,
    },
    /// An answer that is not the Docker Engine API.
    #[error("engine {engine} answered something that is not the Docker Engine API: {what}")]
    Garbled {
        /// Which.
        engine: EngineName,
        /// What is wrong with it.
        what: String,
    },
}

impl CallError {
    /// The engine says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

impl Engine {
    /// Asks the engine.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn call<T, F, R>(&self, deadline: Deadline, ask: F) -> Result<T, CallError>
    where
        F: FnOnce(Docker) -> R,
        R: Future<Output = Result<T, Error>>,
    {
        let docker = self.docker()?;
        let answer = within(&self.name, deadline.duration(), ask(docker));
        let answer = if deadline == Deadline::Read {
            // What only reads is given up as soon as the engine is seen not to answer; what changes something may still be done.
            tokio::select! {
                answer = answer => answer,
                lost = self.lost() => Err(lost),
            }
        } else {
            answer.await
        };
        if let Err(error) = &answer
            && !matches!(error, CallError::Refused { .. })
        {
            self.look_again();
        }
        answer
    }
}

impl Engine {
    /// What an error of the client means for this engine.
    pub(crate) fn named(&self, error: Error) -> CallError {
        name(&self.name, error)
    }

    /// Waits until the engine is seen not to answer.
    async fn lost(&self) -> CallError {
        let mut answering = self.answering.subscribe();
        if answering.wait_for(|answering| !answering).await.is_err() {
            // The sender lives as long as the engine.
            std::future::pending::<()>().await;
        }
        match self.docker() {
            Err(lost) => lost,
            // It came back within the same moment.
            Ok(_) => CallError::Unreachable {
                engine: self.name.clone(),
                reason: "it stopped answering for a moment".to_owned(),
                hint: None,
            },
        }
    }
}

/// Waits for an answer and names what went wrong.
pub(crate) async fn within<T>(
    engine: &EngineName,
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(name(engine, error)),
        Err(_elapsed) => Err(CallError::Timeout {
            engine: engine.clone(),
            seconds: limit.as_secs().max(1),
        }),
    }
}

/// What an error of the client means.
pub(crate) fn name(engine: &EngineName, error: Error) -> CallError {
    let engine = engine.clone();
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => CallError::Refused {
            status: status_code,
            message: cut(&message),
        },
        Error::DockerStreamError { error } => CallError::Refused {
            status: 500,
            message: cut(&error),
        },
        Error::RequestTimeoutError => CallError::Timeout {
            engine,
            seconds: 120,
        },
        Error::JsonDataError { message, .. } => CallError::Garbled {
            engine,
            what: cut(&message),
        },
        Error::JsonSerdeError { err } => CallError::Garbled {
            engine,
            what: cut(&err.to_string()),
        },
        Error::APIVersionParseError {} => CallError::Garbled {
            engine,
            what: "it tells no API version".to_owned(),
        },
        Error::HyperResponseError { err } if err.is_parse() || err.is_incomplete_message() => {
            CallError::Garbled {
                engine,
                what: err.to_string(),
            }
        }
        other => {
            let what = chain(&other);
            // hyper says so only in words: bytes that are no HTTP.
            if what.contains("invalid HTTP") || what.contains("message completed") {
                CallError::Garbled { engine, what }
            } else {
                CallError::Unreachable {
                    engine,
                    reason: why(&other).map_or(what, str::to_owned),
                    hint: None,
                }
            }
        }
    }
}

/// Why nobody answers, in words for a person.
fn why(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use std::io::ErrorKind;
    let mut cause = Some(error);
    while let Some(now) = cause {
        if let Some(Error::SocketNotFoundError(_)) = now.downcast_ref::<Error>() {
            return Some("there is no socket");
        }
        let kind = now
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        match kind {
            Some(ErrorKind::NotFound) => return Some("there is no socket"),
            Some(ErrorKind::ConnectionRefused) => return Some("nothing listens there"),
            Some(ErrorKind::PermissionDenied) => return Some("permission denied"),
            Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => {
                return Some("it closed the connection");
            }
            _ => cause = now.source(),
        }
    }
    None
}

/// An error with all its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    cut(&text)
}

/// An engine's words, not more than fit a page.
fn cut(text: &str) -> String {
    text.chars()
        .take(2000)
        .collect::<String>()
        .trim()
        .to_owned()
}
