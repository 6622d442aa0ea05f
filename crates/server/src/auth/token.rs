//! API tokens: 256 random bits, of which only the hash is kept, with a role, an end and perhaps narrower limits.

use std::{fmt, net::IpAddr, time::Duration};

use api::{
    auth::Role,
    id::{EngineName, TokenId},
    token::Token,
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row};
use sha2::{Digest as _, Sha256};

use super::{Auth, parse_role, random_bytes, role_name};
use crate::db::{Db, DbError};

/// What every token begins with, so that scanners of leaked secrets know it.
const PREFIX: &str = "cos_";
/// Hexadecimal digits of the secret, and of the checksum that stands behind it.
const SECRET_DIGITS: usize = 64;
const CHECK_DIGITS: usize = 8;
/// The shortest and the longest life.
pub const LIFE: std::ops::RangeInclusive<Duration> =
    Duration::from_mins(1)..=Duration::from_hours(24 * 366);
/// One user has at most so many.
const MOST_OF_ONE: i64 = 100;
/// The last use is written at most so often.
const WRITE_EVERY_MS: i64 = 30_000;

/// A token's secret.
pub struct TokenSecret(String);

impl TokenSecret {
    /// The secret itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn generate() -> Result<Self, getrandom::Error> {
        let body = format!("{PREFIX}{}", hex::encode(random_bytes::<32>()?));
        let check = checksum(&body);
        Ok(Self(body + &check))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

/// A token in use.
#[derive(Clone, Debug)]
pub struct TokenUse {
    /// Hash of the secret.
    pub secret_hash: [u8; 32],
    /// What it is for.
    pub name: String,
    /// Whose it is; `None` when it was made on the host.
    pub user: Option<String>,
    /// What it may do now: its own role, or its user's where that is less.
    pub role: Role,
    /// It changes nothing.
    pub read_only: bool,
    /// Only these engines.
    pub engines: Option<Vec<EngineName>>,
}

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// Whose it is; `None` when it is made on the host.
    pub user: Option<String>,
    /// The most it may do.
    pub role: Role,
    /// It changes nothing.
    pub read_only: bool,
    /// Only these engines.
    pub engines: Option<Vec<EngineName>>,
    /// How long it works.
    pub life: Duration,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The user has too many.
    #[error("one user has at most {MOST_OF_ONE} tokens: revoke some first")]
    TooMany,
    /// No random numbers.
    #[error("make a token: {0}")]
    Random(#[from] getrandom::Error),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Returns what is wrong with a token's name.
///
/// # Errors
/// One sentence for the form.
pub fn check_token_name(name: &str) -> Result<(), &'static str> {
    let good = (1..=64).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if good {
        Ok(())
    } else {
        Err("must be 1 to 64 printable characters, without a space at its ends")
    }
}

/// Makes a token and returns it with its secret.
///
/// # Errors
/// [`TokenError`]
pub async fn create_token(db: &Db, new: NewToken) -> Result<(Token, TokenSecret), TokenError> {
    let secret = TokenSecret::generate()?;
    let id = hex::encode(random_bytes::<8>()?);
    let secret_hash = hash(secret.expose());
    let now = Timestamp::now().as_millisecond();
    let end = now + i64::try_from(new.life.as_millis()).unwrap_or(i64::MAX / 2);
    let made = db
        .run("make a token", move |c| {
            let step = c.transaction()?;
            let of_user: i64 = step.query_row(
                "SELECT count(*) FROM tokens WHERE user IS ?1 AND expires_at_ms > ?2",
                (&new.user, now),
                |row| row.get(0),
            )?;
            if of_user >= MOST_OF_ONE {
                return Ok(None);
            }
            let engines = new.engines.as_ref().map(|names| {
                let names: Vec<&str> = names.iter().map(EngineName::as_str).collect();
                names.join(",")
            });
            step.execute(
                "INSERT INTO tokens (id, secret_hash, name, user, role, read_only, engines, created_at_ms, expires_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                (&id, secret_hash, &new.name, &new.user, role_name(new.role), new.read_only, engines, now, end),
            )?;
            let token = step.query_row(&format!("{SELECT} WHERE id = ?1"), [&id], read)?;
            step.commit()?;
            Ok(Some(token))
        })
        .await?;
    made.map(|token| (token, secret)).ok_or(TokenError::TooMany)
}

/// Lists tokens, newest first: all, or one user's.
///
/// # Errors
/// [`DbError`]
pub async fn list_tokens(db: &Db, user: Option<&str>) -> Result<Vec<Token>, DbError> {
    let user = user.map(str::to_owned);
    db.run("list tokens", move |c| {
        c.prepare(&format!(
            "{SELECT} WHERE ?1 IS NULL OR user = ?1 ORDER BY created_at_ms DESC, id"
        ))?
        .query_map([&user], read)?
        .collect()
    })
    .await
}

/// Revokes a token, one user's or with `None` anyone's, and returns whether there was one.
///
/// # Errors
/// [`DbError`]
pub async fn revoke_token(db: &Db, id: &TokenId, user: Option<&str>) -> Result<bool, DbError> {
    let (id, user) = (id.to_string(), user.map(str::to_owned));
    db.run("revoke a token", move |c| {
        c.execute(
            "DELETE FROM tokens WHERE id = ?1 AND (?2 IS NULL OR user = ?2)",
            (&id, &user),
        )
    })
    .await
    .map(|gone| gone == 1)
}

impl Auth {
    /// Finds the token that a program gave, if it still works, and notes its use.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn token(&self, secret: &str, ip: IpAddr) -> Result<Option<TokenUse>, DbError> {
        if !is_whole(secret) {
            return Ok(None);
        }
        find(&self.db, hash(secret), Some(ip)).await
    }

    /// Looks whether a token still works.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn token_works(&self, token: &TokenUse) -> Result<bool, DbError> {
        find(&self.db, token.secret_hash, None)
            .await
            .map(|found| found.is_some())
    }
}

async fn find(
    db: &Db,
    secret_hash: [u8; 32],
    ip: Option<IpAddr>,
) -> Result<Option<TokenUse>, DbError> {
    let now = Timestamp::now().as_millisecond();
    db.run("find a token", move |c| {
        let found = c
            .query_row(
                "SELECT tokens.name, tokens.user, tokens.role, read_only, engines, last_used_at_ms, users.role
                 FROM tokens LEFT JOIN users ON users.name = tokens.user
                 WHERE secret_hash = ?1 AND expires_at_ms > ?2
                   AND (tokens.user IS NULL OR (disabled = 0 AND one_time_until_ms IS NULL))",
                (secret_hash, now),
                |row| {
                    let role: String = row.get(2)?;
                    let of_user: Option<String> = row.get(6)?;
                    let role = parse_role(&role).unwrap_or(Role::Viewer);
                    let most = of_user.map_or(role, |r| parse_role(&r).unwrap_or(Role::Viewer));
                    let token = TokenUse {
                        secret_hash,
                        name: row.get(0)?,
                        user: row.get(1)?,
                        role: role.min(most),
                        read_only: row.get(3)?,
                        engines: engines(row.get(4)?),
                    };
                    Ok((token, row.get::<_, Option<i64>>(5)?))
                },
            )
            .optional()?;
        if let (Some((_, used)), Some(ip)) = (&found, ip)
            && used.is_none_or(|used| now - used > WRITE_EVERY_MS)
        {
            c.execute(
                "UPDATE tokens SET last_used_at_ms = ?2, last_used_ip = ?3 WHERE secret_hash = ?1",
                (secret_hash, now, ip.to_string()),
            )?;
        }
        Ok(found.map(|(token, _)| token))
    })
    .await
}

const SELECT: &str = "SELECT id, name, user, role, read_only, engines, created_at_ms, expires_at_ms, last_used_at_ms, last_used_ip FROM tokens";

fn read(row: &Row<'_>) -> rusqlite::Result<Token> {
    let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default();
    let id: String = row.get(0)?;
    let role: String = row.get(3)?;
    let expires_at = time(row.get(7)?);
    Ok(Token {
        // Only identifiers of our own making are in the table.
        id: TokenId::parse(&id).map_err(|_not_ours| rusqlite::Error::InvalidQuery)?,
        name: row.get(1)?,
        user: row.get(2)?,
        role: parse_role(&role).unwrap_or(Role::Viewer),
        read_only: row.get(4)?,
        engines: engines(row.get(5)?),
        created_at: time(row.get(6)?),
        expires_at,
        expired: expires_at <= Timestamp::now(),
        last_used_at: row.get::<_, Option<i64>>(8)?.map(time),
        last_used_ip: row.get(9)?,
    })
}

/// Names joined by commas; one that cannot be read allows nothing.
fn engines(text: Option<String>) -> Option<Vec<EngineName>> {
    text.map(|text| {
        text.split(',')
            .filter_map(|name| EngineName::parse(name).ok())
            .collect()
    })
}

/// The text has a token's form and its checksum: what was cut while copying is told without a look at the disk.
fn is_whole(secret: &str) -> bool {
    secret.len() == PREFIX.len() + SECRET_DIGITS + CHECK_DIGITS
        && secret.starts_with(PREFIX)
        && secret
            .split_at_checked(PREFIX.len() + SECRET_DIGITS)
            .is_some_and(|(body, check)| checksum(body) == check)
}

fn checksum(body: &str) -> String {
    let mut digest = hex::encode(Sha256::digest(body.as_bytes()));
    digest.truncate(CHECK_DIGITS);
    digest
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_cut_or_mistyped_is_told_by_its_checksum() {
        let secret = TokenSecret::generate().unwrap().0;
        assert_eq!(secret.len(), 76);
        assert!(is_whole(&secret));
        let other = if secret.as_bytes()[10] == b'0' {
            "1"
        } else {
            "0"
        };
        let mut mistyped = secret.clone();
        mistyped.replace_range(10..11, other);
        for bad in [&secret[..75], &mistyped, "", "cos_", &"ä".repeat(38)] {
            assert!(!is_whole(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_printable() {
        assert!(check_token_name("ci of the shop").is_ok());
        for bad in ["", " x", "x ", "a\nb", &"x".repeat(65)] {
            assert!(check_token_name(bad).is_err(), "{bad:?}");
        }
    }
}
