//! Codes of an authenticator app (RFC 6238: HMAC-SHA-1, six digits, 30 seconds) and the recovery codes beside them. A code is
//! taken once: one of the same or an earlier time step is refused.

use api::account::{RecoveryCodes, SecondFactor, TotpBegun};
use jiff::Timestamp;
use ring::hmac;
use rusqlite::OptionalExtension as _;
use sha2::{Digest as _, Sha256};

use super::{Auth, random_bytes};
use crate::{db::DbError, sealed::SealError};

/// Seconds of a time step.
const STEP_S: i64 = 30;
/// Clocks differ: a code of so many steps before or after is taken, too.
const DRIFT: i64 = 1;
/// How many recovery codes are made.
const RECOVERY_CODES: usize = 10;
/// RFC 4648, also without padding what authenticator apps take.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why a second factor is not changed or checked.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The code is wrong, or was taken already.
    #[error("wrong code")]
    WrongCode,
    /// The secret was not made before.
    #[error("no secret was made for an authenticator app")]
    NotBegun,
    /// It is asked for already.
    #[error("a code is asked for already: disable it first")]
    Enabled,
    /// There is none.
    #[error("no code of an authenticator app is asked for")]
    Disabled,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The secret.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No random numbers.
    #[error("make a secret: {0}")]
    Random(#[from] getrandom::Error),
}

fn purpose(user: &str) -> String {
    format!("totp {}", user.to_lowercase())
}

impl Auth {
    /// Tells how an account proves who signs in, beside the password.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn second_factor(&self, user: &str) -> Result<SecondFactor, DbError> {
        let user = user.to_owned();
        self.db
            .run("look at the second factor", move |c| {
                c.query_row(
                    "SELECT totp_secret IS NOT NULL, (SELECT count(*) FROM recovery_codes WHERE user = name) FROM users WHERE name = ?1",
                    [user],
                    |row| Ok(SecondFactor { totp: row.get(0)?, recovery_codes: row.get(1)? }),
                )
            })
            .await
    }

    /// Makes a secret that is not asked for until [`Auth::enable_totp`].
    ///
    /// # Errors
    /// [`FactorError::Enabled`]
    pub async fn begin_totp(&self, user: &str, issuer: &str) -> Result<TotpBegun, FactorError> {
        let secret = random_bytes::<20>()?;
        let sealed = self.sealer.seal(&purpose(user), &secret)?;
        let name = user.to_owned();
        let begun = self
            .db
            .run("begin a second factor", move |c| {
                c.execute(
                    "UPDATE users SET totp_pending = ?2 WHERE name = ?1 AND totp_secret IS NULL",
                    (name, sealed),
                )
            })
            .await?;
        if begun == 0 {
            return Err(FactorError::Enabled);
        }
        let secret = base32(&secret);
        // Both are of characters that need no encoding in such an address.
        let uri = format!(
            "otpauth://totp/ContainerOS:{}%20({issuer})?secret={secret}&issuer=ContainerOS&algorithm=SHA1&digits=6&period=30",
            user.replace('@', "%40")
        );
        Ok(TotpBegun { secret, uri })
    }

    /// Asks for codes from now on, once one proves that the app has the secret.
    ///
    /// # Errors
    /// [`FactorError`]
    pub async fn enable_totp(&self, user: &str, code: &str) -> Result<RecoveryCodes, FactorError> {
        let name = user.to_owned();
        let pending: Option<Vec<u8>> = self
            .db
            .run("find a second factor", move |c| {
                c.query_row(
                    "SELECT totp_pending FROM users WHERE name = ?1 AND totp_secret IS NULL",
                    [name],
                    |row| row.get(0),
                )
                .optional()
                .map(Option::flatten)
            })
            .await?;
        let pending = pending.ok_or(FactorError::NotBegun)?;
        let secret = self.sealer.open_sealed(&purpose(user), &pending)?;
        let step = step_of(&secret, code, Timestamp::now().as_second(), 0)
            .ok_or(FactorError::WrongCode)?;
        let (codes, hashes) = make_recovery_codes()?;
        let name = user.to_owned();
        let enabled = self
            .db
            .run("enable a second factor", move |c| {
                let change = c.transaction()?;
                let changed = change.execute(
                    "UPDATE users SET totp_secret = totp_pending, totp_pending = NULL, totp_step = ?2
                     WHERE name = ?1 AND totp_secret IS NULL AND totp_pending = ?3",
                    (&name, step, pending),
                )?;
                if changed == 1 {
                    put_recovery_codes(&change, &name, &hashes)?;
                    change.commit()?;
                }
                Ok(changed == 1)
            })
            .await?;
        if enabled {
            Ok(codes)
        } else {
            Err(FactorError::NotBegun)
        }
    }

    /// Makes recovery codes anew.
    ///
    /// # Errors
    /// [`FactorError::Disabled`]
    pub async fn renew_recovery_codes(&self, user: &str) -> Result<RecoveryCodes, FactorError> {
        let (codes, hashes) = make_recovery_codes()?;
        if !self.second_factor(user).await?.totp {
            return Err(FactorError::Disabled);
        }
        let user = user.to_owned();
        self.db
            .run("make recovery codes", move |c| {
                let change = c.transaction()?;
                put_recovery_codes(&change, &user, &hashes)?;
                change.commit()
            })
            .await?;
        Ok(codes)
    }

    /// Asks for no code any more.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn disable_totp(&self, user: &str) -> Result<(), DbError> {
        let user = user.to_owned();
        self.db
            .run("disable a second factor", move |c| {
                let change = c.transaction()?;
                change.execute(
                    "UPDATE users SET totp_secret = NULL, totp_pending = NULL WHERE name = ?1",
                    [&user],
                )?;
                change.execute("DELETE FROM recovery_codes WHERE user = ?1", [&user])?;
                change.commit()
            })
            .await
    }

    /// Takes a code of the app, or a recovery code, which is then used up.
    pub(super) async fn take_code(
        &self,
        user: &str,
        sealed: &[u8],
        last_step: i64,
        code: &str,
    ) -> Result<bool, FactorError> {
        let secret = self.sealer.open_sealed(&purpose(user), sealed)?;
        let name = user.to_owned();
        if let Some(step) = step_of(&secret, code, Timestamp::now().as_second(), last_step) {
            // Of two sign-ins with the same code at once one is first.
            let taken = self
                .db
                .run("take a code", move |c| {
                    c.execute(
                        "UPDATE users SET totp_step = ?2 WHERE name = ?1 AND totp_step < ?2",
                        (name, step),
                    )
                })
                .await?;
            return Ok(taken == 1);
        }
        let hash = hash_recovery_code(code);
        let taken = self
            .db
            .run("take a recovery code", move |c| {
                c.execute(
                    "DELETE FROM recovery_codes WHERE user = ?1 AND code_hash = ?2",
                    (name, hash),
                )
            })
            .await?;
        Ok(taken == 1)
    }
}

/// The time step whose code this is, when it is near `now` and later than the last that was taken.
fn step_of(secret: &[u8], code: &str, now_s: i64, last_step: i64) -> Option<i64> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let now = now_s / STEP_S;
    let mut found = None;
    for step in now - DRIFT..=now + DRIFT {
        let right = format!("{:06}", code_at(secret, step, 1_000_000));
        if bool::from(subtle::ConstantTimeEq::ct_eq(
            right.as_bytes(),
            digits.as_bytes(),
        )) && step > last_step
        {
            found = Some(step);
        }
    }
    found
}

/// RFC 4226, 5.3 with the time step as its counter; `modulus` is ten to the number of digits.
fn code_at(secret: &[u8], step: i64, modulus: u32) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
    let word = tag
        .get(offset..offset + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    (word & 0x7fff_ffff) % modulus
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut five = [0_u8; 8];
        five[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(five);
        let letters = (chunk.len() * 8).div_ceil(5);
        for position in 0..letters {
            let index = (bits >> (35 - 5 * position)) & 31;
            text.push(char::from(BASE32[usize::try_from(index).unwrap_or(0)]));
        }
    }
    text
}

/// Codes of 80 random bits, and what is kept of them.
fn make_recovery_codes() -> Result<(RecoveryCodes, Vec<[u8; 32]>), getrandom::Error> {
    let mut codes = Vec::new();
    for _ in 0..RECOVERY_CODES {
        let text = base32(&random_bytes::<10>()?).to_lowercase();
        let groups: Vec<&str> = (0..4).filter_map(|n| text.get(n * 4..n * 4 + 4)).collect();
        codes.push(groups.join("-"));
    }
    let hashes = codes.iter().map(|code| hash_recovery_code(code)).collect();
    Ok((RecoveryCodes { codes }, hashes))
}

/// Typed with or without dashes and capitals, it is the same code.
fn hash_recovery_code(code: &str) -> [u8; 32] {
    let plain: String = code
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    Sha256::digest(plain.as_bytes()).into()
}

fn put_recovery_codes(
    c: &rusqlite::Connection,
    user: &str,
    hashes: &[[u8; 32]],
) -> rusqlite::Result<()> {
    c.execute("DELETE FROM recovery_codes WHERE user = ?1", [user])?;
    for hash in hashes {
        c.execute(
            "INSERT INTO recovery_codes (user, code_hash) VALUES (?1, ?2)",
            (user, hash),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, the rows of SHA-1.
    #[test]
    fn the_vectors_of_the_rfc() {
        let secret = b"12345678901234567890";
        for (time, code) in [
            (59_i64, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(code_at(secret, time / STEP_S, 100_000_000), code, "{time}");
        }
    }

    /// RFC 4648, 10.
    #[test]
    fn base_32_as_the_rfc_has_it() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_code_is_taken_near_its_time_and_not_twice() {
        let secret = b"12345678901234567890";
        let now = 1_111_111_109;
        let step = now / STEP_S;
        let code = format!("{:06}", code_at(secret, step, 1_000_000));
        assert_eq!(step_of(secret, &code, now, 0), Some(step));
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(step_of(secret, &spaced, now, 0), Some(step));
        assert_eq!(step_of(secret, &code, now + STEP_S, 0), Some(step));
        assert_eq!(step_of(secret, &code, now - STEP_S, 0), Some(step));
        assert_eq!(step_of(secret, &code, now + 3 * STEP_S, 0), None);
        assert_eq!(step_of(secret, &code, now, step), None, "a replay");
        for bad in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(step_of(secret, bad, now, 0), None, "{bad}");
        }
    }

    #[test]
    fn recovery_codes_are_the_same_however_they_are_typed() {
        let (made, hashes) = make_recovery_codes().unwrap();
        assert_eq!((made.codes.len(), hashes.len()), (10, 10));
        let typed = made.codes[0].to_uppercase().replace('-', " ");
        assert_eq!(hash_recovery_code(&typed), hashes[0]);
        assert_ne!(hashes[0], hashes[1]);
    }
}
