//! Spread of samples, and whether two sets of samples differ beyond noise.

use api::compare::Spread;

/// The spread; none without samples.
pub(super) fn spread(samples: &[f64]) -> Option<Spread> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(Spread {
        minimum: *sorted.first()?,
        median: quantile(&sorted, 0.5),
        p95: quantile(&sorted, 0.95),
        maximum: *sorted.last()?,
    })
}

/// Between neighbours (type 7, as R and `NumPy`): with 10 samples the 95th percentile lies between the ninth and the tenth.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() as f64 - 1.0);
    let below = position.floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the number of samples"
    )]
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or_default();
    at(below) + (at(position.ceil()) - at(below)) * (position - below)
}

/// Probability that two sets of samples of the same thing differ as clearly as these do: Mann-Whitney U, two-sided, normal
/// approximation with tie correction. It takes no shape of the distribution for granted, and start latencies have long tails.
/// None with fewer than five samples on either side.
pub(super) fn p_value(first: &[f64], second: &[f64]) -> Option<f64> {
    if first.len() < 5 || second.len() < 5 {
        return None;
    }
    let (n1, n2) = (first.len() as f64, second.len() as f64);
    let mut all: Vec<(f64, bool)> = first
        .iter()
        .map(|x| (*x, true))
        .chain(second.iter().map(|x| (*x, false)))
        .collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut rank_sum, mut ties, mut start) = (0.0, 0.0, 0);
    while start < all.len() {
        let same = all[start..]
            .iter()
            .take_while(|x| x.0.total_cmp(&all[start].0).is_eq())
            .count();
        let rank = f64::midpoint((start + 1) as f64, (start + same) as f64);
        rank_sum += rank * all[start..start + same].iter().filter(|x| x.1).count() as f64;
        ties += (same as f64).powi(3) - same as f64;
        start += same;
    }
    let n = n1 + n2;
    let u = rank_sum - n1 * (n1 + 1.0) / 2.0;
    let variance = n1 * n2 / 12.0 * (n + 1.0 - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return Some(1.0);
    }
    let z = ((u - n1 * n2 / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    Some((2.0 * upper_tail(z)).min(1.0))
}

/// Area of the normal distribution above `z` >= 0 (Abramowitz and Stegun 26.2.17, error below 7.5e-8).
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let poly = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * poly
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_spread_of_ten_is_known() {
        let samples: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        let spread = spread(&samples).unwrap();
        assert_eq!(
            (spread.minimum, spread.median, spread.maximum),
            (1.0, 5.5, 10.0)
        );
        assert!((spread.p95 - 9.55).abs() < 1e-9);
        assert!(super::spread(&[]).is_none());
    }

    #[test]
    fn sets_that_do_not_overlap_differ() {
        let a: Vec<f64> = (0..10).map(f64::from).collect();
        let b: Vec<f64> = (100..110).map(f64::from).collect();
        // R: wilcox.test(0:9, 100:109, exact=FALSE) gives 0.0001827
        assert!((p_value(&a, &b).unwrap() - 0.000_182_7).abs() < 1e-5);
    }

    #[test]
    fn equal_sets_do_not_differ() {
        let a = [5.0; 10];
        assert_eq!(p_value(&a, &a), Some(1.0));
        let b: Vec<f64> = (0..20).map(f64::from).collect();
        assert!(p_value(&b, &b).unwrap() > 0.9);
    }

    #[test]
    fn few_samples_say_nothing() {
        assert_eq!(p_value(&[1.0; 4], &[2.0; 40]), None);
    }

    proptest! {
        #[test]
        fn the_order_of_the_two_does_not_matter(
            a in proptest::collection::vec(0.0..100.0f64, 5..40),
            b in proptest::collection::vec(0.0..100.0f64, 5..40),
        ) {
            let (x, y) = (p_value(&a, &b).unwrap(), p_value(&b, &a).unwrap());
            prop_assert!((x - y).abs() < 1e-9 && (0.0..=1.0).contains(&x));
        }

        #[test]
        fn a_spread_is_in_order(samples in proptest::collection::vec(0.0..1e6f64, 1..100)) {
            let s = spread(&samples).unwrap();
            prop_assert!(s.minimum <= s.median && s.median <= s.p95 && s.p95 <= s.maximum);
        }
    }
}
