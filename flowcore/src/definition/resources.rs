//! What a run needs of its task runner beside a slot: a GPU, half of the
//! memory.

use crate::error::{Error, Result};

/// Names and amounts.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    attribute: &'static [(&'static str, f64)],
    changed: Vec<(String, f64)>,
}

impl Resources {
    pub(super) const fn new(attribute: &'static [(&'static str, f64)]) -> Self {
        Self {
            attribute,
            changed: Vec::new(),
        }
    }

    pub(super) fn changed<N: Into<String>>(resources: impl IntoIterator<Item = (N, f64)>) -> Self {
        let resources = resources.into_iter();
        Self {
            attribute: &[],
            changed: resources
                .map(|(name, amount)| (name.into(), amount))
                .collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.attribute.is_empty() && self.changed.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        let changed = self.changed.iter();
        self.attribute
            .iter()
            .copied()
            .chain(changed.map(|(name, amount)| (name.as_str(), *amount)))
    }
}

/// An amount in millionths, so that tenths add up to a whole.
pub(crate) fn millionths(name: &str, amount: f64) -> Result<u64> {
    let millionths = (amount * 1e6).round();
    if (1.0..1e18).contains(&millionths) {
        return Ok(millionths as u64);
    }
    Err(Error::invalid(format!(
        "{amount} is no amount of resource `{name}`: give a number from 0.000001 to 10^12"
    )))
}
