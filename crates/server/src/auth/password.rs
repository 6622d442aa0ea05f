//! Passwords: argon2id, never more hashes at once than processors.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

/// OWASP's figures for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Fewest characters of a password.
const LEAST_CHARACTERS: usize = 12;
/// Most bytes of a password.
const MOST_BYTES: usize = 1024;

/// Why a password cannot be hashed or checked.
#[derive(Debug, thiserror::Error)]
#[error("hash the password: {0}")]
pub struct PasswordError(String);

/// Hashes and checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    places: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            places: Arc::new(Semaphore::new(cores)),
        }
    }

    pub(super) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        self.work(move |argon| {
            argon
                .hash_password(password.as_bytes())
                .map(|hash| hash.to_string())
        })
        .await
    }

    /// Checks a password; without a hash it does the same work and says no.
    pub(super) async fn verify(
        &self,
        password: &str,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let password = password.to_owned();
        self.work(move |argon| {
            let Some(hash) = hash else {
                return argon.hash_password(password.as_bytes()).map(|_hash| false);
            };
            // Who signs in elsewhere has none; the time must not tell that.
            let Ok(hash) = PasswordHash::new(&hash) else {
                return argon.hash_password(password.as_bytes()).map(|_hash| false);
            };
            Ok(argon.verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn work<T, F>(&self, work: F) -> Result<T, PasswordError>
    where
        T: Send + 'static,
        F: FnOnce(&Argon2<'_>) -> Result<T, argon2::password_hash::Error> + Send + 'static,
    {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|e| PasswordError(e.to_string()))?;
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let params = Params::new(MEMORY_KIB, PASSES, 1, None)
                .map_err(|e| PasswordError(e.to_string()))?;
            work(&Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
                .map_err(|e| PasswordError(e.to_string()))
        })
        .await
        .map_err(|e| PasswordError(e.to_string()))?
    }
}

/// Returns what is wrong with a new password.
///
/// # Errors
/// One sentence for the form.
pub fn check_password(password: &str) -> Result<(), &'static str> {
    if password.chars().count() < LEAST_CHARACTERS {
        return Err("must have at least 12 characters");
    }
    if password.len() > MOST_BYTES {
        return Err("must have at most 1024 bytes");
    }
    Ok(())
}

/// Returns what is wrong with a new user's name.
///
/// # Errors
/// One sentence for the form.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    api::id::UserName::parse(name)
        .map(drop)
        .map_err(|_invalid| "must be 1 to 64 of letters, digits, '_', '.', '-' and '@'")
}
