//! A sample from which quantiles are read: all values while they are few, then one of each block.
//!
//! Up to [`MOST`] values everything is kept and quantiles are exact. Beyond that the stream is cut
//! into blocks of 2^level values and one value of each block, chosen at random, is kept; when the
//! sample is full, one of each two neighbours stays and blocks become twice as long. That is
//! stratified sampling of at least `MOST / 2` values: by the inequality of Dvoretzky, Kiefer,
//! Wolfowitz and Massart the rank of every quantile is off by less than 0.5 % but for a probability
//! of 2·exp(-2 · 262,144 · 0.005²) < 5·10^-6, whatever the distribution. Choosing is seeded, so
//! the same stream gives the same sample.

/// The most values that are kept.
pub(crate) const MOST: usize = 1 << 19;

#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// One of 2^level values is kept.
    level: u32,
    kept: Vec<f64>,
    /// How many values to pass over before the next is kept.
    skip: u64,
    random: u64,
}

impl Sample {
    pub(crate) fn new() -> Self {
        Sample {
            level: 0,
            kept: Vec::new(),
            skip: 0,
            random: 0x243f_6a88_85a3_08d3,
        }
    }

    pub(crate) fn from_parts(level: u32, kept: Vec<f64>) -> Self {
        // Levels beyond 63 do not occur: that would be more than 2^82 values.
        Sample {
            level: level.min(63),
            kept,
            ..Sample::new()
        }
    }

    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    pub(crate) fn kept(&self) -> &[f64] {
        &self.kept
    }

    pub(crate) fn extend(&mut self, values: &[f64]) {
        let mut rest = values;
        while !rest.is_empty() {
            if self.level == 0 {
                let taken = rest.len().min(MOST - self.kept.len());
                self.kept.extend_from_slice(&rest[..taken]);
                rest = &rest[taken..];
                if self.kept.len() == MOST {
                    self.halve();
                    self.skip = self.below_block();
                }
                continue;
            }
            if self.skip >= rest.len() as u64 {
                self.skip -= rest.len() as u64;
                return;
            }
            let chosen = self.skip as usize;
            self.kept.push(rest[chosen]);
            rest = &rest[chosen + 1..];
            self.skip = self.pass_block_end();
        }
    }

    /// After a value was kept: what is left of its block, and the way to the next one's choice.
    fn pass_block_end(&mut self) -> u64 {
        // The choice's place within its block is the last random draw, so the rest is known.
        let left = (1u64 << self.level) - 1 - self.last_choice();
        if self.kept.len() >= MOST {
            self.halve();
        }
        left + self.below_block()
    }

    pub(crate) fn merge(&mut self, mut other: Sample) {
        while self.level < other.level {
            self.halve();
        }
        while other.level < self.level {
            other.halve();
        }
        self.kept.append(&mut other.kept);
        while self.kept.len() > MOST {
            self.halve();
        }
        if self.level > 0 {
            self.skip = self.below_block();
        }
    }

    /// Keeps one of each two neighbours; the last of an odd number stays in half of the cases.
    fn halve(&mut self) {
        let mut bits = 0;
        let pairs = self.kept.len() / 2;
        for pair in 0..pairs {
            if pair % 64 == 0 {
                bits = self.draw();
            }
            self.kept[pair] = self.kept[2 * pair + (bits & 1) as usize];
            bits >>= 1;
        }
        let odd = self.kept.len() % 2 == 1 && self.draw() & 1 == 1;
        if odd {
            self.kept[pairs] = self.kept[2 * pairs];
        }
        self.kept.truncate(pairs + usize::from(odd));
        self.level += 1;
    }

    /// A place in a block, at random.
    fn below_block(&mut self) -> u64 {
        self.draw();
        self.last_choice()
    }

    fn last_choice(&self) -> u64 {
        mix(self.random) & ((1u64 << self.level) - 1)
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }

    /// Quantiles by linear interpolation between neighbours, as pandas has them; NaN if there is
    /// no value.
    pub(crate) fn quantiles<const N: usize>(&mut self, shares: [f64; N]) -> [f64; N] {
        self.kept.sort_unstable_by(f64::total_cmp);
        shares.map(|share| {
            let Some(last) = self.kept.len().checked_sub(1) else {
                return f64::NAN;
            };
            let place = share * last as f64;
            let low = self.kept[place.floor() as usize];
            let high = self.kept[place.ceil() as usize];
            if low == high {
                low
            } else {
                low + (high - low) * place.fract()
            }
        })
    }
}

fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 30;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 27;
    bits = bits.wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: [f64; 5] = [0.01, 0.25, 0.5, 0.75, 0.99];

    fn sample(values: &[f64]) -> Sample {
        let mut sample = Sample::new();
        values.chunks(1000).for_each(|run| sample.extend(run));
        sample
    }

    /// The greatest distance, as a share of all values, of a quantile from the ranks it may have.
    fn rank_error(values: &[f64], mut sample: Sample) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let errors = SHARES
            .iter()
            .zip(sample.quantiles(SHARES))
            .map(|(share, value)| {
                let below =
                    sorted.partition_point(|other| *other < value) as f64 / sorted.len() as f64;
                let up_to =
                    sorted.partition_point(|other| *other <= value) as f64 / sorted.len() as f64;
                (below - share).max(share - up_to).max(0.0)
            });
        errors.fold(0.0, f64::max)
    }

    fn random(rows: usize) -> impl Iterator<Item = f64> {
        (0..rows as u64).map(|row| {
            (mix(row.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 11) as f64 / (1u64 << 53) as f64
        })
    }

    #[test]
    fn few_values_are_exact() {
        let mut sample = sample(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(
            sample.quantiles([0.0, 0.25, 0.5, 0.75, 1.0]),
            [1.0, 1.75, 2.5, 3.25, 4.0]
        );
        assert!(Sample::new().quantiles([0.5])[0].is_nan());
    }

    #[test]
    fn nasty_distributions_stay_within_half_a_percent() {
        const ROWS: usize = 3_000_000;
        let uniform: Vec<f64> = random(ROWS).collect();
        let mut descending = uniform.clone();
        descending.sort_unstable_by(|a, b| b.total_cmp(a));
        let cases: [(&str, Vec<f64>); 7] = [
            (
                "heavy tail",
                uniform.iter().map(|value| (1.0 - value).powi(-8)).collect(),
            ),
            (
                "duplicates",
                uniform.iter().map(|value| (value * 3.0).floor()).collect(),
            ),
            (
                "infinities",
                uniform
                    .iter()
                    .map(|v| {
                        if *v < 0.3 {
                            f64::NEG_INFINITY
                        } else if *v > 0.6 {
                            f64::INFINITY
                        } else {
                            *v
                        }
                    })
                    .collect(),
            ),
            (
                "periodic",
                (0..ROWS).map(|row| (row % 256) as f64).collect(),
            ),
            ("constant", vec![7.0; ROWS]),
            ("descending", descending),
            ("uniform", uniform),
        ];
        for (name, values) in cases {
            let error = rank_error(&values, sample(&values));
            assert!(error < 0.005, "{name}: {error}");
        }
    }

    #[test]
    fn merging_unequal_parts_stays_within_half_a_percent() {
        // Sorted, so that a part that weighs too much or too little shifts every quantile.
        let mut values: Vec<f64> = random(3_000_000).collect();
        values.sort_unstable_by(f64::total_cmp);
        for cut in [10, 100_000, 1_500_000, 2_990_000] {
            let mut merged = sample(&values[..cut]);
            merged.merge(sample(&values[cut..]));
            let error = rank_error(&values, merged);
            assert!(error < 0.005, "{cut}: {error}");
        }
    }

    #[test]
    fn many_small_parts_merge() {
        let values: Vec<f64> = random(2_000_000).collect();
        let mut merged = Sample::new();
        values
            .chunks(77_777)
            .for_each(|part| merged.merge(sample(part)));
        let error = rank_error(&values, merged);
        assert!(error < 0.005, "{error}");
    }

    #[test]
    fn the_same_values_give_the_same_sample() {
        let values: Vec<f64> = random(2_000_000).collect();
        assert_eq!(sample(&values).kept, sample(&values).kept);
    }
}
