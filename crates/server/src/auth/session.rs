//! Sessions: a random cookie of 256 bits, of which only the hash is kept.

use std::{fmt, net::IpAddr, time::Duration};

use api::{account::SessionInfo, auth::Role, id::SessionId};
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
/// Characters of a browser's name that are kept.
const MOST_OF_USER_AGENT: usize = 256;
/// Its last use is written at most so often.
const WRITE_EVERY: Duration = Duration::from_secs(30);

/// The secret in the cookie, or another that is shown once.
pub struct SessionToken(pub(super) String);

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
    /// The password was made for the user, who must choose another first.
    pub must_change_password: bool,
}

impl Session {
    /// Its handle, which opens nothing.
    pub fn handle(&self) -> String {
        handle(&self.id_hash)
    }

    /// The password was given a short while ago.
    pub fn is_confirmed(&self) -> bool {
        Timestamp::now().duration_since(self.confirmed_at)
            < CONFIRMED_LIMIT.try_into().unwrap_or_default()
    }
}

/// The beginning of a session's hash.
fn handle(id_hash: &[u8]) -> String {
    hex::encode(id_hash.get(..8).unwrap_or_default())
}

pub(super) async fn start(
    db: &Db,
    user: &str,
    ip: IpAddr,
    user_agent: &str,
) -> Result<(SessionToken, Session), LoginError> {
    let token = SessionToken(hex::encode(
        random_bytes::<32>().map_err(|e| LoginError::Random(e.to_string()))?,
    ));
    let id_hash = hash(&token.0);
    let now = Timestamp::now().as_millisecond();
    let (name, ip) = (user.to_owned(), ip.to_string());
    let user_agent: String = user_agent.chars().take(MOST_OF_USER_AGENT).collect();
    db.run("start session", move |c| {
        c.execute("DELETE FROM sessions WHERE last_used_at_ms < ?1 OR created_at_ms < ?2", (
            now - millis(IDLE_LIMIT),
            now - millis(ABSOLUTE_LIMIT),
        ))?;
        c.execute("UPDATE users SET last_login_at_ms = ?2 WHERE name = ?1", (&name, now))?;
        c.execute(
            "INSERT INTO sessions (id_hash, user, created_at_ms, last_used_at_ms, confirmed_at_ms, ip, user_agent)
             VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5)",
            (id_hash, &name, now, ip, user_agent),
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
                    "SELECT users.name, role, sessions.created_at_ms, last_used_at_ms, confirmed_at_ms, one_time_until_ms IS NOT NULL
                     FROM sessions JOIN users ON users.name = user
                     WHERE id_hash = ?1 AND last_used_at_ms >= ?2 AND sessions.created_at_ms >= ?3 AND disabled = 0",
                    (id_hash, now - millis(IDLE_LIMIT), now - millis(ABSOLUTE_LIMIT)),
                    |row| {
                        let user: String = row.get(0)?;
                        let role: String = row.get(1)?;
                        let (created, used, confirmed): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
                        Ok((user, role, created, used, confirmed, row.get::<_, bool>(5)?))
                    },
                )
                .map(Some)
                .or_else(none_is_fine)?;
            if found.as_ref().is_some_and(|(_, _, _, used, _, _)| now - used > millis(WRITE_EVERY)) {
                c.execute("UPDATE sessions SET last_used_at_ms = ?2 WHERE id_hash = ?1", (id_hash, now))?;
            }
            Ok(found)
        })
        .await?;
    Ok(
        found.and_then(|(user, role, created, _, confirmed, one_time)| {
            let expires_at = Timestamp::from_millisecond(created + millis(ABSOLUTE_LIMIT)).ok()?;
            Some(Session {
                id_hash,
                user,
                role: parse_role(&role)?,
                expires_at,
                confirmed_at: Timestamp::from_millisecond(confirmed).ok()?,
                must_change_password: one_time,
            })
        }),
    )
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

/// Lists the open sessions of a user, newest first.
pub(super) async fn list(
    db: &Db,
    user: &str,
    current: Option<[u8; 32]>,
) -> Result<Vec<SessionInfo>, DbError> {
    let user = user.to_owned();
    let now = Timestamp::now().as_millisecond();
    db.run("list sessions", move |c| {
        c.prepare(
            "SELECT id_hash, user, created_at_ms, last_used_at_ms, ip, user_agent FROM sessions
             WHERE user = ?1 AND last_used_at_ms >= ?2 AND created_at_ms >= ?3 ORDER BY created_at_ms DESC, id_hash",
        )?
        .query_map(
            (&user, now - millis(IDLE_LIMIT), now - millis(ABSOLUTE_LIMIT)),
            |row| {
                let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default();
                let id_hash: Vec<u8> = row.get(0)?;
                let created: i64 = row.get(2)?;
                Ok(SessionInfo {
                    id: SessionId::parse(&handle(&id_hash))
                        .map_err(|_not_a_hash| rusqlite::Error::InvalidQuery)?,
                    current: current.is_some_and(|current| id_hash == current),
                    user: row.get(1)?,
                    created_at: time(created),
                    last_used_at: time(row.get(3)?),
                    expires_at: time(created + millis(ABSOLUTE_LIMIT)),
                    ip: row.get(4)?,
                    user_agent: row.get(5)?,
                })
            },
        )?
        .collect()
    })
    .await
}

/// Ends sessions of a user: the one with this handle, or all but `keep`; returns how many.
pub(super) async fn end_of_user(
    db: &Db,
    user: &str,
    which: Option<&SessionId>,
    keep: Option<[u8; 32]>,
) -> Result<u64, DbError> {
    let user = user.to_owned();
    let which = which.map(ToString::to_string);
    db.run("end sessions", move |c| {
        c.execute(
            "DELETE FROM sessions WHERE user = ?1 AND (?2 IS NULL OR lower(hex(substr(id_hash, 1, 8))) = ?2)
             AND (?3 IS NULL OR id_hash <> ?3)",
            (&user, &which, keep),
        )
    })
    .await
    .map(|ended| ended as u64)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
