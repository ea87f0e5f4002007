//! Count, mean, variance and extremes of a stream of numbers, mergeable.
//!
//! The mean and the squared distances from it are kept, not the sum of squares, so that nothing
//! cancels out (Chan, Golub and LeVeque). Values are finite or infinite, never NaN.

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    /// The sum of the squared distances from the mean.
    pub(crate) distances: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Moments {
    pub(crate) const EMPTY: Moments = Moments {
        count: 0,
        mean: 0.0,
        distances: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
    };

    /// The moments of a run of values.
    pub(crate) fn of(values: &[f64]) -> Moments {
        if values.is_empty() {
            return Moments::EMPTY;
        }
        let count = values.len();
        let mut sums = [0.0; LANES];
        let mut least = [f64::INFINITY; LANES];
        let mut greatest = [f64::NEG_INFINITY; LANES];
        let (lanes, rest) = values.as_chunks::<LANES>();
        for lane in lanes {
            for (place, value) in lane.iter().enumerate() {
                sums[place] += value;
                least[place] = if *value < least[place] {
                    *value
                } else {
                    least[place]
                };
                greatest[place] = if *value > greatest[place] {
                    *value
                } else {
                    greatest[place]
                };
            }
        }
        let sum = sums.iter().sum::<f64>() + rest.iter().sum::<f64>();
        let mean = sum / count as f64;
        let mut squares = [0.0; LANES];
        for lane in lanes {
            for (place, value) in lane.iter().enumerate() {
                squares[place] += (value - mean) * (value - mean);
            }
        }
        let rest_squares = rest
            .iter()
            .map(|value| (value - mean) * (value - mean))
            .sum::<f64>();
        Moments {
            count: count as u64,
            mean,
            distances: squares.iter().sum::<f64>() + rest_squares,
            min: least
                .iter()
                .chain(rest)
                .copied()
                .fold(f64::INFINITY, f64::min),
            max: greatest
                .iter()
                .chain(rest)
                .copied()
                .fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// The moments of both streams together.
    pub(crate) fn merge(&mut self, other: &Moments) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let count = self.count + other.count;
        let (own, others) = (self.count as f64, other.count as f64);
        let difference = other.mean - self.mean;
        self.mean += difference * (others / count as f64);
        self.distances += other.distances + difference * difference * (own * others / count as f64);
        self.count = count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The standard deviation of a sample, as pandas has it; NaN for fewer than two values.
    pub(crate) fn std(&self) -> f64 {
        if self.count < 2 {
            f64::NAN
        } else {
            (self.distances / (self.count - 1) as f64).sqrt()
        }
    }
}

/// As many sums side by side as the processor can add at once.
const LANES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merging_is_the_same_as_one_run(values in prop::collection::vec(-1e6..1e6f64, 0..300), cut in 0..300usize) {
            let whole = Moments::of(&values);
            let cut = cut.min(values.len());
            let mut merged = Moments::of(&values[..cut]);
            merged.merge(&Moments::of(&values[cut..]));
            prop_assert_eq!(merged.count, whole.count);
            prop_assert_eq!(merged.min, whole.min);
            prop_assert_eq!(merged.max, whole.max);
            prop_assert!((merged.mean - whole.mean).abs() <= 1e-9 * 1e6);
            prop_assert!((merged.distances - whole.distances).abs() <= 1e-9 * (1.0 + whole.distances));
        }
    }

    #[test]
    fn a_large_offset_does_not_cancel_out() {
        let values: Vec<f64> = (0..10_000).map(|row| 1e9 + f64::from(row % 2)).collect();
        let mut moments = Moments::EMPTY;
        values
            .chunks(1000)
            .for_each(|run| moments.merge(&Moments::of(run)));
        assert!((moments.std() - (0.25f64 * 10_000.0 / 9_999.0).sqrt()).abs() < 1e-9);
    }
}
