//! Sessions: a random cookie of 256 bits, of which only the hash is kept.

use std::{fmt, net::IpAddr, time::Duration};

use api::auth::Role;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{LoginError, none_is_fine, parse_role, random_bytes};
use crate::db::{Db, DbError};

/// A session ends when nobody used it for so long.
pub const IDLE_LIMIT: Duration = Duration::from_mins(30);
/// A session ends after so long whatever happens.
pub const ABSOLUTE_LIMIT: Duration = Duration::from_hours(12);
/// What gives power over the host asks for the password again when it was given longer ago than this.
pub const CONFIRMED_LIMIT: Duration = Duration::from_mins(10);
/// Its last use is written at most so often.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// The secret in the cookie.
pub struct SessionToken(String);

impl SessionToken {
    /// The secret itself, for the cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken")
    }
}

/// Someone who is signed in.
#[derive(Clone, Debug)]
pub struct Session {
    /// Hash of the cookie.
    pub id_hash: [u8; 32],
    /// The user's name.
    pub user: String,
    /// What the user may do now.
    pub role: Role,
    /// When it ends whatever happens.
    pub expires_at: Timestamp,
    /// When the password was given last.
    pub confirmed_at: Timestamp,
}

impl Session {
    /// The password was given a short while ago.
    pub fn is_confirmed(&self) -> bool {
        Timestamp::now().duration_since(self.confirmed_at)
            < CONFIRMED_LIMIT.try_into().unwrap_or_default()
    }
}

pub(super) async fn start(
    db: &Db,
    user: &str,
    ip: IpAddr,
) -> Result<(SessionToken, Session), LoginError> {
    let token = SessionToken(hex::encode(
        random_bytes::<32>().map_err(|e| LoginError::Random(e.to_string()))?,
    ));
    let id_hash = hash(&token.0);
    let now = Timestamp::now().as_millisecond();
    let (name, ip) = (user.to_owned(), ip.to_string());
    db.run("start session", move |c| {
        c.execute("DELETE FROM sessions WHERE last_used_at_ms < ?1 OR created_at_ms < ?2", (
            now - millis(IDLE_LIMIT),
            now - millis(ABSOLUTE_LIMIT),
        ))?;
        c.execute(
            "INSERT INTO sessions (id_hash, user, created_at_ms, last_used_at_ms, confirmed_at_ms, ip) VALUES (?1, ?2, ?3, ?3, ?3, ?4)",
            (id_hash, name, now, ip),
        )
    })
    .await?;
    let session = find_by_hash(db, id_hash).await?.ok_or(LoginError::Wrong)?;
    Ok((token, session))
}

pub(super) async fn find(db: &Db, token: &str) -> Result<Option<Session>, DbError> {
    if token.len() != 64 {
        return Ok(None);
    }
    find_by_hash(db, hash(token)).await
}

pub(super) async fn find_by_hash(db: &Db, id_hash: [u8; 32]) -> Result<Option<Session>, DbError> {
    let now = Timestamp::now().as_millisecond();
    let found = db
        .run("find session", move |c| {
            let found = c
                .query_row(
                    "SELECT users.name, role, sessions.created_at_ms, last_used_at_ms, confirmed_at_ms FROM sessions JOIN users ON users.name = user
                     WHERE id_hash = ?1 AND last_used_at_ms >= ?2 AND sessions.created_at_ms >= ?3",
                    (id_hash, now - millis(IDLE_LIMIT), now - millis(ABSOLUTE_LIMIT)),
                    |row| {
                        let user: String = row.get(0)?;
                        let role: String = row.get(1)?;
                        let (created, used, confirmed): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
                        Ok((user, role, created, used, confirmed))
                    },
                )
                .map(Some)
                .or_else(none_is_fine)?;
            if found.as_ref().is_some_and(|(_, _, _, used, _)| now - used > millis(WRITE_EVERY)) {
                c.execute("UPDATE sessions SET last_used_at_ms = ?2 WHERE id_hash = ?1", (id_hash, now))?;
            }
            Ok(found)
        })
        .await?;
    Ok(found.and_then(|(user, role, created, _, confirmed)| {
        let expires_at = Timestamp::from_millisecond(created + millis(ABSOLUTE_LIMIT)).ok()?;
        Some(Session {
            id_hash,
            user,
            role: parse_role(&role)?,
            expires_at,
            confirmed_at: Timestamp::from_millisecond(confirmed).ok()?,
        })
    }))
}

pub(super) async fn confirm(db: &Db, id_hash: [u8; 32]) -> Result<(), DbError> {
    let now = Timestamp::now().as_millisecond();
    db.run("confirm session", move |c| {
        c.execute(
            "UPDATE sessions SET confirmed_at_ms = ?2 WHERE id_hash = ?1",
            (id_hash, now),
        )
    })
    .await
    .map(drop)
}

pub(super) async fn end(db: &Db, id_hash: [u8; 32]) -> Result<(), DbError> {
    db.run("end session", move |c| {
        c.execute("DELETE FROM sessions WHERE id_hash = ?1", [id_hash])
    })
    .await
    .map(drop)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
