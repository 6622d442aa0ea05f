//! Who may come in: first start, passwords, sessions, and how often one may try.

mod password;
mod session;
mod setup;
mod throttle;

use std::{net::IpAddr, path::Path};

use api::auth::Role;

pub use password::{PasswordError, check_name, check_password};
pub use session::{ABSOLUTE_LIMIT, CONFIRMED_LIMIT, IDLE_LIMIT, Session, SessionToken};
pub use setup::{SetupError, SetupToken};

use crate::db::{Db, DbError};
use password::Passwords;
use throttle::Throttle;

/// Sign-in state of the server.
#[derive(Debug)]
pub struct Auth {
    db: Db,
    passwords: Passwords,
    setup: SetupToken,
    logins: Throttle,
    requests: Throttle,
}

/// Why someone is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Name or password are wrong; nobody is told which.
    #[error("wrong name or password")]
    Wrong,
    /// Too many tries.
    #[error("too many tries; wait {0} s")]
    LockedOut(u64),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Hashing.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No random numbers.
    #[error("make a session: {0}")]
    Random(String),
}

/// Why the first administrator was not made.
#[derive(Debug, thiserror::Error)]
pub enum FirstUserError {
    /// The token.
    #[error(transparent)]
    Token(#[from] SetupError),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Hashing.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl Auth {
    /// Prepares sign-in; without any user a set-up token is made and written to `setup-token` in `state_dir`.
    ///
    /// # Errors
    /// When the database or the random source cannot be used.
    pub async fn open(db: Db, state_dir: &Path) -> Result<Self, FirstUserError> {
        let passwords = Passwords::new();
        let has_user = has_user(&db).await?;
        let setup = if has_user {
            SetupToken::done(state_dir)
        } else {
            SetupToken::generate(state_dir)?
        };
        Ok(Self {
            db,
            passwords,
            setup,
            logins: Throttle::new(5, std::time::Duration::from_mins(1)),
            requests: Throttle::new(600, std::time::Duration::from_mins(1)),
        })
    }

    /// No administrator exists yet.
    pub fn setup_required(&self) -> bool {
        !self.setup.is_done()
    }

    /// The token to print, once, at the start.
    pub fn setup_token(&self) -> Option<String> {
        self.setup.to_print()
    }

    /// Makes the first administrator: exactly one of any number of calls at once.
    ///
    /// # Errors
    /// [`FirstUserError`]; after a wrong token one try is used up.
    pub async fn set_up(
        &self,
        token: &str,
        name: &str,
        password: &str,
    ) -> Result<(), FirstUserError> {
        // `containeros user add` may have been there first.
        if has_user(&self.db).await? {
            self.setup.finish();
        }
        let claim = self.setup.claim(token)?;
        let hash = self.passwords.hash(password).await?;
        if !insert_user(&self.db, name, &hash, Role::Admin, true).await? {
            self.setup.finish();
            return Err(SetupError::Done.into());
        }
        claim.finish();
        Ok(())
    }

    /// Checks name and password.
    ///
    /// # Errors
    /// [`LoginError`]
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        ip: IpAddr,
    ) -> Result<(String, Role), LoginError> {
        let key = format!("{}\n{ip}", name.to_lowercase());
        if let Err(wait) = self.logins.take(&key) {
            return Err(LoginError::LockedOut(wait.as_secs().max(1)));
        }
        let wanted = name.to_owned();
        let found = self
            .db
            .run("find user", move |c| {
                c.query_row(
                    "SELECT name, password_hash, role FROM users WHERE name = ?1",
                    [wanted],
                    |row| {
                        Ok((
                            row.get::<_, String>(0)?,
                            row.get::<_, String>(1)?,
                            row.get::<_, String>(2)?,
                        ))
                    },
                )
                .map(Some)
                .or_else(none_is_fine)
            })
            .await?;
        // The same work for an unknown name, so the time tells nothing.
        let (user, hash, role) = match found {
            Some((user, hash, role)) => (Some(user), Some(hash), parse_role(&role)),
            None => (None, None, None),
        };
        let right = self.passwords.verify(password, hash).await?;
        match (right, user, role) {
            (true, Some(user), Some(role)) => {
                self.logins.forget(&key);
                Ok((user, role))
            }
            _ => Err(LoginError::Wrong),
        }
    }

    /// Counts a request of a session.
    ///
    /// # Errors
    /// With the time to wait when there were too many.
    pub fn count_request(&self, session: &Session) -> Result<(), std::time::Duration> {
        self.requests.take(&hex::encode(session.id_hash))
    }

    /// Starts a session.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn start_session(
        &self,
        user: &str,
        ip: IpAddr,
    ) -> Result<(SessionToken, Session), LoginError> {
        session::start(&self.db, user, ip).await
    }

    /// Finds the session of a cookie, if it is still good, and counts as its use.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn session(&self, token: &str) -> Result<Option<Session>, DbError> {
        session::find(&self.db, token).await
    }

    /// Looks whether a session is still good and counts as its use.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn is_alive(&self, session: &Session) -> Result<bool, DbError> {
        session::find_by_hash(&self.db, session.id_hash)
            .await
            .map(|found| found.is_some())
    }

    /// The one who is signed in gave the password again.
    ///
    /// # Errors
    /// [`LoginError`]
    pub async fn confirm(
        &self,
        session: &Session,
        password: &str,
        ip: IpAddr,
    ) -> Result<(), LoginError> {
        self.log_in(&session.user, password, ip).await?;
        Ok(session::confirm(&self.db, session.id_hash).await?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn end_session(&self, session: &Session) -> Result<(), DbError> {
        session::end(&self.db, session.id_hash).await
    }
}

/// Adds a user, or gives one another password and role and ends the user's sessions.
///
/// # Errors
/// [`FirstUserError`] without its token part.
pub async fn put_user(
    db: &Db,
    name: &str,
    password: &str,
    role: Role,
    replace: bool,
) -> Result<bool, FirstUserError> {
    let hash = Passwords::new().hash(password).await?;
    if !replace {
        return Ok(insert_user(db, name, &hash, role, false).await?);
    }
    let name = name.to_owned();
    Ok(db
        .run("change user", move |c| {
            let step = c.transaction()?;
            let changed = step.execute(
                "UPDATE users SET password_hash = ?2 WHERE name = ?1",
                (&name, &hash),
            )?;
            step.execute("DELETE FROM sessions WHERE user = ?1", [&name])?;
            step.commit()?;
            Ok(changed == 1)
        })
        .await?)
}

async fn has_user(db: &Db) -> Result<bool, DbError> {
    db.run("count users", |c| {
        c.query_row("SELECT EXISTS (SELECT 1 FROM users)", [], |row| row.get(0))
    })
    .await
}

/// Returns whether the user was added: not when the name exists, nor with `only_first` when anyone does.
async fn insert_user(
    db: &Db,
    name: &str,
    hash: &str,
    role: Role,
    only_first: bool,
) -> Result<bool, DbError> {
    let (name, hash) = (name.to_owned(), hash.to_owned());
    db.run("add user", move |c| {
        c.execute(
            "INSERT INTO users (name, password_hash, role, created_at_ms) SELECT ?1, ?2, ?3, ?4
             WHERE NOT (?5 AND EXISTS (SELECT 1 FROM users)) ON CONFLICT DO NOTHING",
            (
                &name,
                &hash,
                role_name(role),
                jiff::Timestamp::now().as_millisecond(),
                only_first,
            ),
        )
        .map(|added| added == 1)
    })
    .await
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn parse_role(name: &str) -> Option<Role> {
    match name {
        "viewer" => Some(Role::Viewer),
        "operator" => Some(Role::Operator),
        "admin" => Some(Role::Admin),
        _ => None,
    }
}

fn none_is_fine<T>(error: rusqlite::Error) -> rusqlite::Result<Option<T>> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(None),
        other => Err(other),
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fresh() -> (tempfile::TempDir, Auth) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("server.db")).unwrap();
        let auth = Auth::open(db, dir.path()).await.unwrap();
        (dir, auth)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_hundred_set_ups_at_once_make_one_administrator() {
        let (dir, auth) = fresh().await;
        let token = auth.setup_token().unwrap();
        let auth = std::sync::Arc::new(auth);
        let mut tries = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (auth, token) = (std::sync::Arc::clone(&auth), token.clone());
            tries.spawn(async move {
                auth.set_up(&token, &format!("admin{number}"), "correct horse battery")
                    .await
                    .is_ok()
            });
        }
        let made = tries
            .join_all()
            .await
            .into_iter()
            .filter(|made| *made)
            .count();
        assert_eq!(made, 1);
        assert!(!auth.setup_required());
        assert!(!dir.path().join("setup-token").exists());
    }

    #[tokio::test]
    async fn ten_wrong_tokens_kill_the_token() {
        let (_dir, auth) = fresh().await;
        let token = auth.setup_token().unwrap();
        for _ in 0..10 {
            assert!(
                auth.set_up("wrong", "ana", "correct horse battery")
                    .await
                    .is_err()
            );
        }
        assert!(
            auth.set_up(&token, "ana", "correct horse battery")
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn login_is_case_blind_for_names_and_limited() {
        let (_dir, auth) = fresh().await;
        let token = auth.setup_token().unwrap();
        auth.set_up(&token, "Ana", "correct horse battery")
            .await
            .unwrap();
        let ip = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(
            auth.log_in("ana", "correct horse battery", ip)
                .await
                .unwrap(),
            ("Ana".to_owned(), Role::Admin)
        );
        for _ in 0..5 {
            assert!(matches!(
                auth.log_in("ana", "wrong wrong wrong", ip).await,
                Err(LoginError::Wrong)
            ));
        }
        assert!(matches!(
            auth.log_in("ana", "correct horse battery", ip).await,
            Err(LoginError::LockedOut(_))
        ));
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_told_and_with_its_user() {
        let (_dir, auth) = fresh().await;
        let token = auth.setup_token().unwrap();
        auth.set_up(&token, "ana", "correct horse battery")
            .await
            .unwrap();
        let (cookie, session) = auth
            .start_session("ana", IpAddr::from([127, 0, 0, 1]))
            .await
            .unwrap();
        assert_eq!(
            auth.session(cookie.expose()).await.unwrap().unwrap().role,
            Role::Admin
        );
        assert!(
            auth.session("0".repeat(64).as_str())
                .await
                .unwrap()
                .is_none()
        );
        put_user(&auth.db, "ana", "another long password", Role::Admin, true)
            .await
            .unwrap();
        assert!(!auth.is_alive(&session).await.unwrap());
    }
}
