//! Near matches for misspelt words.

/// The known word nearest to `word`, if one is near enough to be meant.
///
/// "Near enough" is at most a third of the longer word's letters wrong, which
/// is also the compiler's own rule; transposed letters count as one mistake.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|&(distance, candidate)| {
            let longer = word.chars().count().max(candidate.chars().count());
            distance <= (longer / 3).max(1) && distance < longer
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean `retries`?`, or nothing.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// `` `a`, `b`, `c` ``
pub(crate) fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words
        .into_iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Edits (insert, delete, replace, swap of neighbours) from one word to the
/// other: the optimal string alignment distance.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (row, cells) in rows.iter_mut().enumerate() {
        cells[0] = row;
    }
    for (column, cell) in rows[0].iter_mut().enumerate() {
        *cell = column;
    }
    for row in 1..=from.len() {
        for column in 1..=to.len() {
            let wrong = usize::from(from[row - 1] != to[column - 1]);
            let mut best = (rows[row - 1][column] + 1)
                .min(rows[row][column - 1] + 1)
                .min(rows[row - 1][column - 1] + wrong);
            let swapped = row > 1
                && column > 1
                && from[row - 1] == to[column - 2]
                && from[row - 2] == to[column - 1];
            if swapped {
                best = best.min(rows[row - 2][column - 2] + 1);
            }
            rows[row][column] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["name", "tags", "retries", "retry_delay", "timeout"];

    #[test]
    fn slips_of_the_fingers_are_found() {
        assert_eq!(nearest("retrys", KNOWN), Some("retries"));
        assert_eq!(nearest("retires", KNOWN), Some("retries"));
        assert_eq!(nearest("Timeout", KNOWN), Some("timeout"));
        assert_eq!(nearest("retry_dealy", KNOWN), Some("retry_delay"));
        assert_eq!(nearest("tag", KNOWN), Some("tags"));
    }

    #[test]
    fn unrelated_words_are_left_alone() {
        assert_eq!(nearest("priority", KNOWN), None);
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("", KNOWN), None);
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
