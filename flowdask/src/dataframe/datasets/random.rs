//! Random numbers by position: the number at `row` of a stream is a function of both, so any part
//! of a stream can be made at any time, on any thread, and is always the same.
//!
//! The function is SplitMix64 started at a hashed key. It knows nothing of partitions.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One stream of random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    key: u64,
}

impl Stream {
    /// The stream number `number` of a seed.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Stream {
            key: mix(mix(seed.wrapping_add(GOLDEN))
                ^ mix(number.wrapping_mul(GOLDEN) ^ 0x5851_f42d_4c95_7f2d)),
        }
    }

    /// 64 random bits for `row`.
    #[inline(always)]
    pub(crate) fn bits(self, row: u64) -> u64 {
        mix(self.key.wrapping_add(row.wrapping_mul(GOLDEN)))
    }

    /// A number in [-1, 1) for `row`, evenly spread over steps of 2^-51.
    #[inline(always)]
    pub(crate) fn uniform(self, row: u64) -> f64 {
        let in_one_to_two = f64::from_bits((self.bits(row) >> 12) | 0x3ff0_0000_0000_0000);
        in_one_to_two * 2.0 - 3.0
    }

    /// A number in 0..bound for `row`; the bias is below bound × 2^-32.
    #[inline(always)]
    pub(crate) fn below(self, row: u64, bound: u32) -> u32 {
        (((self.bits(row) >> 32) * u64::from(bound)) >> 32) as u32
    }
}

#[inline(always)]
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

    #[test]
    fn streams_and_seeds_differ() {
        let first = Stream::new(1, 0);
        assert_ne!(first.bits(0), Stream::new(1, 1).bits(0));
        assert_ne!(first.bits(0), Stream::new(2, 0).bits(0));
        assert_eq!(first.bits(7), Stream::new(1, 0).bits(7));
    }

    #[test]
    fn uniform_stays_in_its_range() {
        let stream = Stream::new(42, 3);
        for row in 0..100_000 {
            let value = stream.uniform(row);
            assert!((-1.0..1.0).contains(&value));
        }
    }
}
