//! Names for containers that nobody named: an adjective and a thing of the harbour.

use crate::error::{EngineError, Result};

const ADJECTIVES: [&str; 48] = [
    "able", "amber", "ample", "apt", "bold", "brave", "breezy", "bright", "brisk", "calm", "clear",
    "clever", "crisp", "deft", "eager", "early", "fair", "fleet", "fond", "free", "gentle", "glad",
    "grand", "handy", "hardy", "jolly", "keen", "kind", "light", "lively", "lucid", "merry",
    "mild", "neat", "nimble", "noble", "patient", "plain", "proud", "quick", "quiet", "ready",
    "sharp", "spry", "steady", "sunny", "swift", "warm",
];
const THINGS: [&str; 48] = [
    "anchor", "ballast", "barge", "bay", "beacon", "boom", "bow", "bridge", "brig", "buoy",
    "cabin", "canal", "cargo", "clipper", "compass", "crane", "current", "deck", "dock", "ferry",
    "galley", "gull", "harbour", "hatch", "haven", "helm", "hull", "islet", "jetty", "keel",
    "lagoon", "lantern", "lighter", "lock", "mast", "mooring", "oar", "pier", "pilot", "quay",
    "rudder", "sail", "schooner", "sextant", "tide", "tiller", "tug", "wharf",
];

/// Returns a name; `attempt` above zero adds digits, for when the plain ones are taken.
///
/// # Errors
/// `Internal` when the kernel gives no random numbers.
pub(super) fn random(attempt: u32) -> Result<String> {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).map_err(EngineError::io("read", "random numbers"))?;
    let pick = |words: &[&'static str], byte: u8| {
        words
            .get(usize::from(byte) % words.len())
            .copied()
            .unwrap_or_default()
    };
    let [adjective, thing, high, low] = bytes;
    let name = format!("{}_{}", pick(&ADJECTIVES, adjective), pick(&THINGS, thing));
    Ok(match attempt {
        0..=5 => name,
        _ => format!("{name}{}", u16::from_be_bytes([high, low])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid() {
        for attempt in [0, 9] {
            assert!(crate::id::is_valid_name(&random(attempt).unwrap()));
        }
    }
}
