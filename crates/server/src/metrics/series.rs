//! A ring of points at one per second, and fewer points from many.

use std::collections::VecDeque;

/// The newest points of one thing, oldest first.
#[derive(Debug)]
pub(crate) struct Series<P> {
    points: VecDeque<P>,
    capacity: usize,
}

impl<P> Series<P> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            points: VecDeque::new(),
            capacity,
        }
    }

    pub(crate) fn push(&mut self, point: P) {
        if self.points.len() == self.capacity {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    pub(crate) fn last(&self) -> Option<&P> {
        self.points.back()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &P> {
        self.points.iter()
    }
}

/// A point that can be joined with its neighbours.
pub(crate) trait Fold: Clone {
    /// Milliseconds since 1970.
    fn time_ms(&self) -> i64;
    /// One point for several, oldest first: means of what flows, the last of what stands, its time is the last's.
    fn fold(points: &[Self]) -> Self;
}

/// At most `most` points: neighbours are joined in equal slices of time, so a gap stays a gap.
pub(crate) fn downsample<P: Fold>(points: Vec<P>, most: usize) -> (u64, Vec<P>) {
    let (Some(first), Some(last)) = (
        points.first().map(Fold::time_ms),
        points.last().map(Fold::time_ms),
    ) else {
        return (1000, points);
    };
    let most = most.max(1);
    let typical = typical_step(&points);
    if points.len() <= most {
        return (typical, points);
    }
    // Whole steps, so that every slice holds the same number of points.
    let steps = (u64::try_from(last - first).unwrap_or(0) / typical + 1).div_ceil(most as u64);
    let slice = i64::try_from(steps.saturating_mul(typical))
        .unwrap_or(i64::MAX)
        .max(1);
    let mut out = Vec::with_capacity(most);
    let mut start = 0;
    for end in 1..=points.len() {
        let open = end < points.len()
            && (points[end].time_ms() - first) / slice == (points[start].time_ms() - first) / slice;
        if !open {
            out.push(P::fold(&points[start..end]));
            start = end;
        }
    }
    (u64::try_from(slice).unwrap_or(typical).max(typical), out)
}

/// The middle distance between points.
fn typical_step<P: Fold>(points: &[P]) -> u64 {
    let mut steps: Vec<i64> = points
        .windows(2)
        .map(|pair| pair[1].time_ms() - pair[0].time_ms())
        .collect();
    steps.sort_unstable();
    steps
        .get(steps.len() / 2)
        .and_then(|step| u64::try_from(*step).ok())
        .filter(|step| *step > 0)
        .unwrap_or(1000)
}

/// Mean of a figure over points.
pub(crate) fn mean<P>(points: &[P], figure: impl Fn(&P) -> f64) -> f64 {
    if points.is_empty() {
        return 0.0;
    }
    points.iter().map(figure).sum::<f64>() / points.len() as f64
}

/// Mean of a figure over the points that have it.
pub(crate) fn mean_some<P>(points: &[P], figure: impl Fn(&P) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = points.iter().filter_map(figure).collect();
    (!values.is_empty()).then(|| mean(&values, |value| *value))
}

/// Mean of a whole number over points.
pub(crate) fn mean_bytes<P>(points: &[P], figure: impl Fn(&P) -> u64) -> u64 {
    let sum: u128 = points.iter().map(|point| u128::from(figure(point))).sum();
    u64::try_from(sum / (points.len().max(1) as u128)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct P(i64, f64);

    impl Fold for P {
        fn time_ms(&self) -> i64 {
            self.0
        }
        fn fold(points: &[Self]) -> Self {
            Self(points.last().map_or(0, |p| p.0), mean(points, |p| p.1))
        }
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points = vec![P(0, 1.0), P(1000, 2.0)];
        assert_eq!(downsample(points.clone(), 10), (1000, points));
    }

    #[test]
    fn neighbours_are_joined_and_a_gap_stays() {
        let points: Vec<P> = (0..100)
            .chain(900..1000)
            .map(|s| P(s * 1000, s as f64))
            .collect();
        let (step, out) = downsample(points, 100);
        assert_eq!((step, out.len()), (10_000, 20));
        assert_eq!(out[0], P(9000, 4.5));
        assert_eq!(out[10].0, 909_000);
    }

    proptest! {
        #[test]
        fn never_more_than_asked_and_means_hold(values in proptest::collection::vec(0.0..1e6f64, 1..2000), most in 1usize..600) {
            let points: Vec<P> = (0..).zip(&values).map(|(i, v)| P(i * 1000, *v)).collect();
            let (_, out) = downsample(points.clone(), most);
            prop_assert!(out.len() <= most || points.len() <= most);
            prop_assert_eq!(out.last().map(|p| p.0), points.last().map(|p| p.0));
            let least = values.iter().copied().fold(f64::MAX, f64::min);
            let greatest = values.iter().copied().fold(0.0, f64::max);
            prop_assert!(out.iter().all(|p| p.1 >= least - 1e-6 && p.1 <= greatest + 1e-6));
        }
    }
}
