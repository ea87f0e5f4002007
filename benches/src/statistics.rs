//! The one statistic the benchmarks use.

/// The median: unlike the mean it does not move when something else on the
/// machine disturbs one run. Of an even number, the lower of the two in the
/// middle, which was really measured.
///
/// # Panics
///
/// If there is nothing.
#[must_use]
pub fn median<Value: Copy + PartialOrd>(values: &[Value]) -> Value {
    let mut sorted = values.to_vec();
    sorted.sort_by(|left, right| left.partial_cmp(right).expect("a figure, not a NaN"));
    *sorted
        .get(sorted.len().saturating_sub(1) / 2)
        .expect("at least one measurement")
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn it_is_one_of_the_values() {
        assert_eq!(median(&[3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(&[4, 1, 2, 3]), 2);
        assert_eq!(median(&[7]), 7);
    }
}
