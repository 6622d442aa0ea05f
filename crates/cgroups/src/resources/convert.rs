//! Weights of v1 in the terms of v2.

/// The v2 `cpu.weight` (1 to 10000, default 100) of v1 `cpu.shares` (2 to 262144, default 1024).
///
/// A curve through the least, the default and the greatest value of both, as runc and crun use it today; the older straight line
/// made 39 of the default, so that a container with default shares stood behind every other process.
/// Source: <https://github.com/opencontainers/runtime-spec/issues/1308>.
pub fn shares_to_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => return 1,
        262_144.. => return 10_000,
        _ => {}
    }
    let shares = f64::from(u32::try_from(shares).unwrap_or(u32::MAX));
    let log = shares.log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10000 by the clamp"
    )]
    let weight = 10_f64.powf(exponent).ceil().clamp(1.0, 10_000.0) as u64;
    weight
}

/// The v2 `io.weight` (1 to 10000, default 100) of a block I/O weight (10 to 1000), on a straight line.
/// With the BFQ scheduler `io.bfq.weight` takes the weight as it is.
pub fn block_io_weight_to_io(weight: u16) -> u64 {
    1 + u64::from(weight.clamp(10, 1000) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_default_and_greatest_meet() {
        assert_eq!(shares_to_weight(2), 1);
        assert_eq!(shares_to_weight(1024), 100);
        assert_eq!(shares_to_weight(262_144), 10_000);
        assert_eq!(shares_to_weight(u64::MAX), 10_000);
        assert_eq!(block_io_weight_to_io(10), 1);
        assert_eq!(block_io_weight_to_io(1000), 10_000);
    }

    proptest::proptest! {
        #[test]
        fn more_shares_never_weigh_less(a in 0_u64..300_000, b in 0_u64..300_000) {
            let (low, high) = (a.min(b), a.max(b));
            proptest::prop_assert!(shares_to_weight(low) <= shares_to_weight(high));
            proptest::prop_assert!((1..=10_000).contains(&shares_to_weight(a)));
        }
    }
}
