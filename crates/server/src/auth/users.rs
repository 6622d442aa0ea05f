//! Users as administrators see and change them. One administrator who can sign in always remains.

use std::time::Duration;

use api::{
    auth::Role,
    id::UserName,
    user::{User, UserUpdateRequest},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{Auth, FirstUserError, PasswordError, parse_role, random_bytes, role_name};
use crate::db::DbError;

/// How long a one-time password signs in.
pub const ONE_TIME_LIFE: Duration = Duration::from_hours(72);

/// Why a user is not changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is none of this name.
    #[error("no such user")]
    NotFound,
    /// The name is taken.
    #[error("a user of this name exists already")]
    Exists,
    /// Nobody could administer this server any more.
    #[error("this is the last administrator who can sign in")]
    LastAdmin,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Hashing.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No random numbers.
    #[error("make a password: {0}")]
    Random(#[from] getrandom::Error),
}

impl From<UserError> for FirstUserError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Db(error) => Self::Db(error),
            UserError::Password(error) => Self::Password(error),
            other => Self::Other(other.to_string()),
        }
    }
}

/// A password that was made for a user.
#[derive(Debug)]
pub struct MadePassword {
    /// The user.
    pub user: User,
    /// The password, to be shown once.
    pub password: super::SessionToken,
    /// Until when it signs in.
    pub expires_at: Timestamp,
}

impl Auth {
    /// Lists users by name.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn users(&self) -> Result<Vec<User>, DbError> {
        self.db
            .run("list users", |c| {
                c.prepare(&format!("{SELECT} ORDER BY users.name"))?
                    .query_map([Timestamp::now().as_millisecond()], read)?
                    .collect()
            })
            .await
    }

    /// Tells about one user.
    ///
    /// # Errors
    /// [`UserError::NotFound`]
    pub async fn user(&self, name: &str) -> Result<User, UserError> {
        let name = name.to_owned();
        self.db
            .run("find user", move |c| find(c, &name))
            .await?
            .ok_or(UserError::NotFound)
    }

    /// Makes a user with a one-time password.
    ///
    /// # Errors
    /// [`UserError::Exists`]
    pub async fn add_user(&self, name: &UserName, role: Role) -> Result<MadePassword, UserError> {
        let password = readable_password()?;
        let hash = self.passwords.hash(&password).await?;
        let until = one_time_end();
        let new = name.to_string();
        let user = self
            .db
            .run("add user", move |c| {
                let added = c.execute(
                    "INSERT INTO users (name, password_hash, role, created_at_ms, one_time_until_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    (&new, &hash, role_name(role), Timestamp::now().as_millisecond(), until.as_millisecond()),
                )?;
                if added == 1 { find(c, &new) } else { Ok(None) }
            })
            .await?
            .ok_or(UserError::Exists)?;
        Ok(MadePassword {
            user,
            password: super::SessionToken(password),
            expires_at: until,
        })
    }

    /// Gives a user a one-time password and ends the user's sessions.
    ///
    /// # Errors
    /// [`UserError::NotFound`]
    pub async fn one_time_password(&self, name: &str) -> Result<MadePassword, UserError> {
        let password = readable_password()?;
        let hash = self.passwords.hash(&password).await?;
        let until = one_time_end();
        let name = name.to_owned();
        let user = self
            .db
            .run("give a one-time password", move |c| {
                let step = c.transaction()?;
                step.execute(
                    "UPDATE users SET password_hash = ?2, one_time_until_ms = ?3 WHERE name = ?1",
                    (&name, &hash, until.as_millisecond()),
                )?;
                step.execute("DELETE FROM sessions WHERE user = ?1", [&name])?;
                let user = find(&step, &name)?;
                step.commit()?;
                Ok(user)
            })
            .await?
            .ok_or(UserError::NotFound)?;
        Ok(MadePassword {
            user,
            password: super::SessionToken(password),
            expires_at: until,
        })
    }

    /// Changes a user's role or keeps the user out.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::LastAdmin`]
    pub async fn update_user(
        &self,
        name: &str,
        change: UserUpdateRequest,
    ) -> Result<User, UserError> {
        self.change(name, move |c, name| {
            c.execute(
                "UPDATE users SET role = coalesce(?2, role), disabled = coalesce(?3, disabled) WHERE name = ?1",
                (name, change.role.map(role_name), change.disabled),
            )?;
            if change.disabled == Some(true) {
                c.execute("DELETE FROM sessions WHERE user = ?1", [name])?;
            }
            Ok(())
        })
        .await?
        .ok_or(UserError::NotFound)
    }

    /// Takes a user's second factor away and ends the user's sessions.
    ///
    /// # Errors
    /// [`UserError::NotFound`]
    pub async fn remove_second_factor(&self, name: &str) -> Result<User, UserError> {
        self.change(name, |c, name| {
            c.execute(
                "UPDATE users SET totp_secret = NULL, totp_pending = NULL WHERE name = ?1",
                [name],
            )?;
            c.execute("DELETE FROM recovery_codes WHERE user = ?1", [name])?;
            c.execute("DELETE FROM sessions WHERE user = ?1", [name])?;
            Ok(())
        })
        .await?
        .ok_or(UserError::NotFound)
    }

    /// Removes a user with sessions and tokens.
    ///
    /// # Errors
    /// [`UserError::NotFound`], [`UserError::LastAdmin`]
    pub async fn remove_user(&self, name: &str) -> Result<(), UserError> {
        self.change(name, |c, name| {
            c.execute("DELETE FROM users WHERE name = ?1", [name])
                .map(drop)
        })
        .await
        .map(drop)
    }

    /// Changes a user unless nobody could administer this server afterwards; returns the user as it is then.
    async fn change(
        &self,
        name: &str,
        work: impl FnOnce(&Connection, &str) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<Option<User>, UserError> {
        let name = name.to_owned();
        self.db
            .run("change user", move |c| {
                let step = c.transaction()?;
                if find(&step, &name)?.is_none() {
                    return Ok(Err(UserError::NotFound));
                }
                work(&step, &name)?;
                let admins: i64 = step.query_row(
                    "SELECT count(*) FROM users WHERE role = 'admin' AND disabled = 0",
                    [],
                    |row| row.get(0),
                )?;
                if admins == 0 {
                    // Dropped, so nothing of it happened.
                    return Ok(Err(UserError::LastAdmin));
                }
                let user = find(&step, &name)?;
                step.commit()?;
                Ok(Ok(user))
            })
            .await?
    }
}

const SELECT: &str = "SELECT users.name, role, disabled, one_time_until_ms IS NOT NULL, totp_secret IS NOT NULL, created_at_ms, last_login_at_ms,
    (SELECT count(*) FROM sessions WHERE sessions.user = users.name
        AND last_used_at_ms >= ?1 - 1800000 AND sessions.created_at_ms >= ?1 - 43200000),
    (SELECT count(*) FROM tokens WHERE tokens.user = users.name AND tokens.expires_at_ms > ?1)
    FROM users";

fn find(c: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    c.query_row(
        &format!("{SELECT} WHERE users.name = ?2"),
        (Timestamp::now().as_millisecond(), name),
        read,
    )
    .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default();
    let role: String = row.get(1)?;
    Ok(User {
        name: row.get(0)?,
        role: parse_role(&role).unwrap_or(Role::Viewer),
        disabled: row.get(2)?,
        must_change_password: row.get(3)?,
        totp: row.get(4)?,
        created_at: time(row.get(5)?),
        last_login_at: row.get::<_, Option<i64>>(6)?.map(time),
        sessions: row.get(7)?,
        tokens: row.get(8)?,
    })
}

fn one_time_end() -> Timestamp {
    Timestamp::now() + ONE_TIME_LIFE
}

/// 99 random bits in letters and digits that are not taken for others, in groups that can be read out.
fn readable_password() -> Result<String, getrandom::Error> {
    const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let groups: Vec<String> = random_bytes::<20>()?
        .chunks(5)
        .map(|group| {
            group
                .iter()
                .map(|byte| char::from(LETTERS[usize::from(byte % 31)]))
                .collect()
        })
        .collect();
    Ok(groups.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_open_sessions_in_the_statement_are_those_of_sessions() {
        use super::super::{ABSOLUTE_LIMIT, IDLE_LIMIT};
        assert_eq!(IDLE_LIMIT.as_millis(), 1_800_000);
        assert_eq!(ABSOLUTE_LIMIT.as_millis(), 43_200_000);
    }

    #[test]
    fn made_passwords_are_long_enough_and_differ() {
        let (one, two) = (readable_password().unwrap(), readable_password().unwrap());
        assert!(super::super::check_password(&one).is_ok());
        assert_ne!(one, two);
    }
}
