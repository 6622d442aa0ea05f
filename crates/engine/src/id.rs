//! Identifiers: 64 hex digits from the kernel's random numbers, shown by their first twelve.

use crate::error::{EngineError, Result};

/// Digits of an id.
pub(crate) const ID_LENGTH: usize = 64;
/// Digits of an id that people see.
pub(crate) const SHORT_ID_LENGTH: usize = 12;

/// Returns a new random id. One that consists of decimal digits only in its first twelve is not given: as a host name
/// it would be taken for a number.
pub(crate) fn generate() -> Result<String> {
    loop {
        let mut bytes = [0_u8; ID_LENGTH / 2];
        getrandom::fill(&mut bytes).map_err(EngineError::io("read", "random numbers"))?;
        let id = hex::encode(bytes);
        if short(&id).bytes().any(|b| !b.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// Returns the first twelve digits of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT_ID_LENGTH).unwrap_or(id)
}

/// Tells whether `text` is a whole id.
pub(crate) fn is_full_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Tells whether `text` is a name that Docker allows: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`. Such a name is also safe as one
/// path component.
pub(crate) fn is_valid_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.len() >= 2
        && text.len() <= 255
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_full_and_differ() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert!(is_full_id(&a) && is_full_id(&b));
        assert_ne!(a, b);
        assert_eq!(short(&a).len(), 12);
    }

    #[test]
    fn names_are_safe_path_components() {
        for good in ["ab", "web-1", "a.b_c", "0x"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in ["", "a", "../x", "-a", ".a", "a/b", "a b", "é1", "a\0"] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
