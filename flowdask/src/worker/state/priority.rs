//! What is more urgent.

use std::cmp::Ordering;
use std::sync::Arc;

/// A priority as the scheduler sends it: compared element by element, the
/// lowest first (protocol, section 7.3).
///
/// Elements may be fractions: children of a running task get `-0.01` of its
/// generation.
#[derive(Clone, Debug)]
pub(crate) struct Priority(Arc<[f64]>);

impl Priority {
    pub(crate) fn new(elements: impl IntoIterator<Item = f64>) -> Self {
        Self(elements.into_iter().collect())
    }

    /// The priority of copies that the scheduler wants for its balance: after
    /// what tasks wait for.
    pub(crate) fn of_copies() -> Self {
        Self::new([1.0])
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        let both = self.0.iter().zip(&*other.0);
        both.map(|(a, b)| a.total_cmp(b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Priority {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_compared_element_by_element() {
        let ordered = [
            Priority::new([-1.0, 9.0, 9.0]),
            Priority::new([0.0, 1.99, 0.0]),
            Priority::new([0.0, 2.0, 0.0]),
            Priority::new([0.0, 2.0, 1.0]),
            Priority::new([0.0, 10.0]),
            Priority::of_copies(),
        ];
        assert!(ordered.is_sorted());
    }
}
