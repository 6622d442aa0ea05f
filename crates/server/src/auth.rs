//! Who may come in: first start, passwords, sessions, and how often one may try.

mod caller;
mod password;
mod session;
mod setup;
mod throttle;
mod token;
mod totp;
mod users;

use std::{net::IpAddr, path::Path, sync::Arc};

use api::{account::SessionInfo, auth::Role, id::SessionId};

pub use caller::Caller;
pub use password::{PasswordError, check_name, check_password};
pub use session::{ABSOLUTE_LIMIT, CONFIRMED_LIMIT, IDLE_LIMIT, Session, SessionToken};
pub use setup::{SetupError, SetupToken};
pub use token::{
    LIFE as TOKEN_LIFE, NewToken, TokenError, TokenSecret, TokenUse, check_token_name,
    create_token, list_tokens, revoke_token,
};
pub use totp::FactorError;
pub use users::{MadePassword, ONE_TIME_LIFE, UserError};

use crate::{
    db::{Db, DbError},
    sealed::Sealer,
};
use password::Passwords;
use throttle::Throttle;

/// Sign-in state of the server.
#[derive(Debug)]
pub struct Auth {
    db: Db,
    passwords: Passwords,
    setup: SetupToken,
    sealer: Arc<Sealer>,
    logins: Throttle,
    codes: Throttle,
    requests: Throttle,
}

/// What the database knows of someone who signs in.
#[derive(Debug)]
struct Account {
    name: String,
    password_hash: String,
    role: Option<Role>,
    disabled: bool,
    one_time_until_ms: Option<i64>,
    totp_secret: Option<Vec<u8>>,
    totp_step: i64,
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
    /// The password is right, and a code is asked for.
    #[error("this account also asks for a code")]
    CodeRequired,
    /// The password is right; the code is not, or was taken already.
    #[error("wrong code, or one that was used already")]
    WrongCode,
    /// The password is right, but an administrator keeps the user out.
    #[error("this account is disabled")]
    Disabled,
    /// The password is right, but it was made for the user longer ago than such a password works.
    #[error("this one-time password is too old")]
    OneTimeOver,
    /// The second factor.
    #[error(transparent)]
    Factor(#[from] FactorError),
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
    /// Something else.
    #[error("{0}")]
    Other(String),
}

impl Auth {
    /// Prepares sign-in; without any user a set-up token is made and written to `setup-token` in `state_dir`.
    ///
    /// # Errors
    /// When the database or the random source cannot be used.
    pub async fn open(
        db: Db,
        state_dir: &Path,
        sealer: Arc<Sealer>,
    ) -> Result<Self, FirstUserError> {
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
            sealer,
            logins: Throttle::new(5, std::time::Duration::from_mins(1)),
            codes: Throttle::new(5, std::time::Duration::from_mins(5)),
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

    /// Checks name, password and, where the account asks for one, the code.
    ///
    /// # Errors
    /// [`LoginError`]; what is known of the account is only told to who has its password.
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        code: Option<&str>,
        ip: IpAddr,
    ) -> Result<(String, Role), LoginError> {
        let key = self.count_try(name, ip)?;
        let account = self.account(name).await?;
        let (account, role) = self.check_password(account, password).await?;
        if account.disabled {
            return Err(LoginError::Disabled);
        }
        let now = jiff::Timestamp::now().as_millisecond();
        if account.one_time_until_ms.is_some_and(|until| until < now) {
            return Err(LoginError::OneTimeOver);
        }
        if let Some(sealed) = &account.totp_secret {
            let Some(code) = code else {
                // The password was right: its tries begin anew, those of the code are counted apart.
                self.logins.forget(&key);
                return Err(LoginError::CodeRequired);
            };
            // By account only: codes are short, and addresses are cheap.
            let codes = account.name.to_lowercase();
            self.codes.take(&codes).map_err(locked_out)?;
            if !self
                .take_code(&account.name, sealed, account.totp_step, code)
                .await?
            {
                return Err(LoginError::WrongCode);
            }
            self.codes.forget(&codes);
        }
        self.logins.forget(&key);
        Ok((account.name, role))
    }

    /// Counts a try with a name from an address; returns the key to forget it by.
    fn count_try(&self, name: &str, ip: IpAddr) -> Result<String, LoginError> {
        let key = format!("{}\n{ip}", name.to_lowercase());
        self.logins.take(&key).map_err(locked_out)?;
        Ok(key)
    }

    async fn account(&self, name: &str) -> Result<Option<Account>, DbError> {
        let wanted = name.to_owned();
        self.db
            .run("find user", move |c| {
                c.query_row(
                    "SELECT name, password_hash, role, disabled, one_time_until_ms, totp_secret, totp_step FROM users WHERE name = ?1",
                    [wanted],
                    |row| {
                        let role: String = row.get(2)?;
                        Ok(Account {
                            name: row.get(0)?,
                            password_hash: row.get(1)?,
                            role: parse_role(&role),
                            disabled: row.get(3)?,
                            one_time_until_ms: row.get(4)?,
                            totp_secret: row.get(5)?,
                            totp_step: row.get(6)?,
                        })
                    },
                )
                .map(Some)
                .or_else(none_is_fine)
            })
            .await
    }

    async fn check_password(
        &self,
        account: Option<Account>,
        password: &str,
    ) -> Result<(Account, Role), LoginError> {
        // The same work for an unknown name, so the time tells nothing.
        let hash = account
            .as_ref()
            .map(|account| account.password_hash.clone());
        let right = self.passwords.verify(password, hash).await?;
        match account {
            Some(account) if right => match account.role {
                Some(role) => Ok((account, role)),
                None => Err(LoginError::Wrong),
            },
            _ => Err(LoginError::Wrong),
        }
    }

    /// Gives the one who is signed in another password and ends the user's other sessions; returns how many.
    ///
    /// # Errors
    /// [`LoginError::Wrong`] when the present password is another.
    pub async fn change_password(
        &self,
        session: &Session,
        current: &str,
        new: &str,
        ip: IpAddr,
    ) -> Result<u64, LoginError> {
        let key = self.count_try(&session.user, ip)?;
        let account = self.account(&session.user).await?;
        self.check_password(account, current).await?;
        self.logins.forget(&key);
        let hash = self.passwords.hash(new).await?;
        let (user, keep) = (session.user.clone(), session.id_hash);
        let ended = self
            .db
            .run("change a password", move |c| {
                let step = c.transaction()?;
                step.execute(
                    "UPDATE users SET password_hash = ?2, one_time_until_ms = NULL WHERE name = ?1",
                    (&user, &hash),
                )?;
                let ended = step.execute(
                    "DELETE FROM sessions WHERE user = ?1 AND id_hash <> ?2",
                    (&user, keep),
                )?;
                step.commit()?;
                Ok(ended as u64)
            })
            .await?;
        session::confirm(&self.db, session.id_hash).await?;
        Ok(ended)
    }

    /// Counts a request of a session or token.
    ///
    /// # Errors
    /// With the time to wait when there were too many.
    pub fn count_request(&self, caller: &Caller) -> Result<(), std::time::Duration> {
        self.requests.take(&hex::encode(caller.key()))
    }

    /// Starts a session.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn start_session(
        &self,
        user: &str,
        ip: IpAddr,
        user_agent: &str,
    ) -> Result<(SessionToken, Session), LoginError> {
        session::start(&self.db, user, ip, user_agent).await
    }

    /// Finds the session of a cookie, if it is still good, and counts as its use.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn session(&self, token: &str) -> Result<Option<Session>, DbError> {
        session::find(&self.db, token).await
    }

    /// Looks whether a session is still good, which counts as its use, or a token still works.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn is_alive(&self, caller: &Caller) -> Result<bool, DbError> {
        match caller {
            Caller::Person(session) => session::find_by_hash(&self.db, session.id_hash)
                .await
                .map(|found| found.is_some()),
            Caller::Program(token) => self.token_works(token).await,
        }
    }

    /// Lists the open sessions of a user, newest first.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn sessions(
        &self,
        user: &str,
        current: Option<&Session>,
    ) -> Result<Vec<SessionInfo>, DbError> {
        session::list(&self.db, user, current.map(|session| session.id_hash)).await
    }

    /// Ends sessions of a user: the one with this handle, or all but `keep`; returns how many.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn end_sessions(
        &self,
        user: &str,
        which: Option<&SessionId>,
        keep: Option<&Session>,
    ) -> Result<u64, DbError> {
        session::end_of_user(&self.db, user, which, keep.map(|session| session.id_hash)).await
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
        let key = self.count_try(&session.user, ip)?;
        let account = self.account(&session.user).await?;
        self.check_password(account, password).await?;
        self.logins.forget(&key);
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
                "UPDATE users SET password_hash = ?2, one_time_until_ms = NULL WHERE name = ?1",
                (&name, &hash),
            )?;
            step.execute("DELETE FROM sessions WHERE user = ?1", [&name])?;
            step.commit()?;
            Ok(changed == 1)
        })
        .await?)
}

fn locked_out(wait: std::time::Duration) -> LoginError {
    LoginError::LockedOut(wait.as_secs().max(1))
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
        let sealer = Arc::new(Sealer::open(dir.path()).unwrap());
        let auth = Auth::open(db, dir.path(), sealer).await.unwrap();
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
            auth.log_in("ana", "correct horse battery", None, ip)
                .await
                .unwrap(),
            ("Ana".to_owned(), Role::Admin)
        );
        for _ in 0..5 {
            assert!(matches!(
                auth.log_in("ana", "wrong wrong wrong", None, ip).await,
                Err(LoginError::Wrong)
            ));
        }
        assert!(matches!(
            auth.log_in("ana", "correct horse battery", None, ip).await,
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
            .start_session("ana", IpAddr::from([127, 0, 0, 1]), "test")
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
        assert!(!auth.is_alive(&Caller::Person(session)).await.unwrap());
    }
}
