//! Lists of processors and NUMA nodes as text: `0-3,7`.
//!
//! Source: `man 7 cpuset`, list format.

use crate::error::{Error, Result};

/// Numbers from here on are refused: more than any kernel has processors or nodes.
const LIMIT: u32 = 8192;

/// Reads a list, in the order it is written; an empty text is an empty list.
///
/// # Errors
/// `Invalid`, without saying what the list is of.
pub fn parse(text: &str) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(Error::invalid(format!("{part:?} ends before it begins")));
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

fn number(text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && number < LIMIT => Ok(number),
        _ if digits => Err(Error::invalid(format!("{text} is above {}", LIMIT - 1))),
        _ => Err(Error::invalid(format!("{text:?} is not a number"))),
    }
}

/// The numbers as bits of words, the first word with bit 0.
pub fn mask(numbers: &[u32]) -> Vec<u64> {
    let mut words = Vec::new();
    for &number in numbers {
        let index = usize::try_from(number / 64).unwrap_or(0);
        if words.len() <= index {
            words.resize(index + 1, 0);
        }
        if let Some(word) = words.get_mut(index) {
            *word |= 1u64 << (number % 64);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_numbers_and_ranges() {
        assert_eq!(parse("0-2,7").unwrap(), [0, 1, 2, 7]);
        assert_eq!(parse("").unwrap(), [0; 0]);
        assert_eq!(parse(" 3 , 1 ").unwrap(), [3, 1]);
        assert_eq!(mask(&[0, 1, 64]), [3, 1]);
        assert_eq!(mask(&[]), [0; 0]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["a", "1-", "-1", "2-1", "0-9876543210", "8192", "1,x", "+1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_or_refused(text in "[-0-9, a]{0,24}") {
            if let Ok(numbers) = parse(&text) {
                let bits: u32 = mask(&numbers).iter().map(|word| word.count_ones()).sum();
                let mut different = numbers.clone();
                different.sort_unstable();
                different.dedup();
                prop_assert_eq!(usize::try_from(bits).unwrap(), different.len());
            }
        }

        #[test]
        fn what_is_written_is_read(numbers in proptest::collection::vec(0u32..8192, 0..20)) {
            let text: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            prop_assert_eq!(parse(&text.join(",")).unwrap(), numbers);
        }
    }
}
