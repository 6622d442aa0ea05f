//! Secrets that must be read again (an authenticator's key, a mail server's password), sealed with a key that lies beside
//! the database, so that a copy of the database alone tells none.

use std::path::Path;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// The key's file in the server's directory, mode 0600.
const FILE: &str = "secret.key";
const KEY_BYTES: usize = 32;

/// Why a secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key's file.
    #[error("{what} {path}: {source}")]
    File {
        /// What was done.
        what: &'static str,
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The key is not ours.
    #[error("read {path}: it does not hold a key of 32 bytes")]
    NoKey {
        /// The file.
        path: String,
    },
    /// The secret was sealed with another key, for another purpose, or was changed.
    #[error("open a secret: it was sealed with another key; was {FILE} lost or replaced?")]
    NotOurs,
    /// No random numbers.
    #[error("seal a secret: {0}")]
    Random(#[from] getrandom::Error),
}

/// Seals and opens secrets.
pub struct Sealer(LessSafeKey);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Reads the key in a directory, or makes one.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn open(directory: &Path) -> Result<Self, SealError> {
        let path = directory.join(FILE);
        let file = |what| {
            let path = path.display().to_string();
            move |source| SealError::File { what, path, source }
        };
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
                let mut made = [0; KEY_BYTES];
                getrandom::fill(&mut made)?;
                crate::files::write_private(&path, &made).map_err(file("write"))?;
                made.to_vec()
            }
            Err(source) => return Err(file("read")(source)),
        };
        UnboundKey::new(&CHACHA20_POLY1305, &bytes)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_wrong_length| SealError::NoKey {
                path: path.display().to_string(),
            })
    }

    /// Seals a secret for one purpose and owner: elsewhere it does not open.
    ///
    /// # Errors
    /// [`SealError::Random`]
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce)?;
        let mut sealed = secret.to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut sealed,
            )
            .map_err(|_too_long| SealError::NotOurs)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for this purpose.
    ///
    /// # Errors
    /// [`SealError::NotOurs`]
    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let not_ours = |_| SealError::NotOurs;
        let (nonce, rest) = sealed
            .split_at_checked(NONCE_LEN)
            .ok_or(SealError::NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(not_ours)?;
        let mut secret = rest.to_vec();
        let length = self
            .0
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut secret)
            .map_err(not_ours)?
            .len();
        secret.truncate(length);
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_after_a_restart_for_its_purpose_only() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = Sealer::open(dir.path())
            .unwrap()
            .seal("totp ana", b"secret")
            .unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        let again = Sealer::open(dir.path()).unwrap();
        assert_eq!(again.open_sealed("totp ana", &sealed).unwrap(), b"secret");
        assert!(again.open_sealed("totp eve", &sealed).is_err());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        for bad in [&changed[..], &sealed[..5], &[]] {
            assert!(again.open_sealed("totp ana", bad).is_err());
        }
        let other = tempfile::tempdir().unwrap();
        assert!(
            Sealer::open(other.path())
                .unwrap()
                .open_sealed("totp ana", &sealed)
                .is_err()
        );
        std::fs::write(other.path().join(FILE), "short").unwrap();
        assert!(matches!(
            Sealer::open(other.path()),
            Err(SealError::NoKey { .. })
        ));
    }
}
