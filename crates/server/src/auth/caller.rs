//! Who calls: a person with a session, or a program with a token.

use api::{auth::Role, id::EngineName};

use super::{Session, TokenUse};

/// Who calls; the guard has checked the permission.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A person in a browser.
    Person(Session),
    /// A program with a token.
    Program(TokenUse),
}

impl Caller {
    /// What the caller may do now.
    pub fn role(&self) -> Role {
        match self {
            Self::Person(session) => session.role,
            Self::Program(token) => token.role,
        }
    }

    /// The user's name; of a token that was made on the host `(host)`, which no user is called.
    pub fn user(&self) -> &str {
        match self {
            Self::Person(session) => &session.user,
            Self::Program(token) => token.user.as_deref().unwrap_or("(host)"),
        }
    }

    /// The token's name.
    pub fn token_name(&self) -> Option<&str> {
        match self {
            Self::Person(_) => None,
            Self::Program(token) => Some(&token.name),
        }
    }

    /// The session, of a person.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Person(session) => Some(session),
            Self::Program(_) => None,
        }
    }

    /// Tells sessions and tokens apart; the hash of a secret, from which the secret cannot be had.
    pub fn key(&self) -> [u8; 32] {
        match self {
            Self::Person(session) => session.id_hash,
            Self::Program(token) => token.secret_hash,
        }
    }

    /// What gives power over the host may be done: the password was given a short while ago, or it is a token, which was
    /// made for programs by someone who gave it.
    pub fn is_confirmed(&self) -> bool {
        self.session().is_none_or(Session::is_confirmed)
    }

    /// The caller may change things as far as the role allows.
    pub fn may_change(&self) -> bool {
        match self {
            Self::Person(_) => true,
            Self::Program(token) => !token.read_only,
        }
    }

    /// The engines that the caller is restricted to.
    pub fn engines(&self) -> Option<&[EngineName]> {
        match self {
            Self::Person(_) => None,
            Self::Program(token) => token.engines.as_deref(),
        }
    }

    /// The caller may see this engine, or with `None` what is of no single engine.
    pub fn may_reach(&self, engine: Option<&str>) -> bool {
        self.engines().is_none_or(|allowed| {
            engine.is_some_and(|engine| allowed.iter().any(|name| name.as_str() == engine))
        })
    }
}
