//! The Poisson distribution as an alias table (Walker, Vose): one random number and one look-up
//! give a value whose probability is exact to the precision of floating-point numbers.

const SLOT_BITS: u32 = 10;
const SLOTS: usize = 1 << SLOT_BITS;
const FRACTION_BITS: u32 = 64 - SLOT_BITS;

/// A table from which Poisson-distributed numbers are drawn.
#[derive(Debug)]
pub(crate) struct Poisson {
    slots: Box<[Slot; SLOTS]>,
}

/// A slot gives `value` to fractions below `threshold`, and `alias` to the others.
#[derive(Debug, Clone, Copy)]
struct Slot {
    threshold: u64,
    value: u32,
    alias: u32,
}

impl Poisson {
    /// The table for a mean between 1 and 1,000; the support must fit its 1,024 slots, from which
    /// what is cut off is less than 2^-64.
    pub(crate) fn new(mean: f64) -> Self {
        let first = (mean - SLOTS as f64 / 2.0).max(0.0).floor() as usize;
        let weights = probabilities(mean, first);
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * SLOTS as f64).collect();
        let mut slots = Box::new(
            [Slot {
                threshold: 0,
                value: 0,
                alias: 0,
            }; SLOTS],
        );
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..SLOTS).partition(|&slot| scaled[slot] < 1.0);
        let value = |slot: usize| (first + slot) as u32;
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            let threshold = (scaled[poor] * (1u64 << FRACTION_BITS) as f64) as u64;
            slots[poor] = Slot {
                threshold,
                value: value(poor),
                alias: value(rich),
            };
            scaled[rich] -= 1.0 - scaled[poor];
            if scaled[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        // What is left is 1 up to rounding.
        for rest in small.into_iter().chain(large) {
            if slots[rest].threshold == 0 && slots[rest].alias == 0 {
                slots[rest] = Slot {
                    threshold: u64::MAX,
                    value: value(rest),
                    alias: value(rest),
                };
            }
        }
        Poisson { slots }
    }

    /// The number that belongs to 64 random bits.
    #[inline(always)]
    pub(crate) fn pick(&self, bits: u64) -> i64 {
        let slot = &self.slots[(bits >> FRACTION_BITS) as usize];
        let fraction = bits & ((1 << FRACTION_BITS) - 1);
        i64::from(if fraction < slot.threshold {
            slot.value
        } else {
            slot.alias
        })
    }
}

/// The probabilities of the numbers from `first` on, by recurrence from the mode, so that nothing
/// under- or overflows where it matters.
fn probabilities(mean: f64, first: usize) -> Vec<f64> {
    let mode = (mean.floor() as usize).clamp(first, first + SLOTS - 1) - first;
    let mut weights = vec![0.0; SLOTS];
    weights[mode] = 1.0;
    for slot in mode + 1..SLOTS {
        weights[slot] = weights[slot - 1] * mean / (first + slot) as f64;
    }
    for slot in (0..mode).rev() {
        weights[slot] = weights[slot + 1] * (first + slot + 1) as f64 / mean;
    }
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table itself, not a sample of it, has the distribution's probabilities.
    #[test]
    fn the_table_is_exact() {
        let table = Poisson::new(1000.0);
        let expected = probabilities(1000.0, 488);
        let whole = (1u64 << FRACTION_BITS) as f64;
        let mut actual = vec![0.0; SLOTS];
        for slot in table.slots.iter() {
            let share = (slot.threshold as f64 / whole).min(1.0);
            actual[slot.value as usize - 488] += share / SLOTS as f64;
            actual[slot.alias as usize - 488] += (1.0 - share) / SLOTS as f64;
        }
        for (expected, actual) in expected.iter().zip(&actual) {
            assert!(
                (expected - actual).abs() < 1e-16 + expected * 1e-12,
                "{expected} {actual}"
            );
        }
        let mean: f64 = actual
            .iter()
            .enumerate()
            .map(|(slot, share)| share * (slot + 488) as f64)
            .sum();
        assert!((mean - 1000.0).abs() < 1e-9, "{mean}");
        let variance: f64 = actual
            .iter()
            .enumerate()
            .map(|(slot, share)| share * (slot as f64 + 488.0 - mean).powi(2))
            .sum();
        assert!((variance - 1000.0).abs() < 1e-6, "{variance}");
    }

    #[test]
    fn the_extremes_of_the_bits_are_fine() {
        let table = Poisson::new(1000.0);
        for bits in [0, u64::MAX, 1 << 63, (1 << FRACTION_BITS) - 1] {
            assert!((488..1512).contains(&table.pick(bits)));
        }
    }
}
