//! What Dask is told of a run beside its payload.

use flowcore::bridge::WorkDescriptor;

use super::placement::Placement;
use crate::client::SubmitOptions;
use crate::wire;

/// What runs of one graph have in common.
#[derive(PartialEq)]
pub(super) struct Annotations {
    priority: i32,
    resources: Vec<(String, f64)>,
    tags: Vec<String>,
}

impl Annotations {
    pub(super) fn of(work: &WorkDescriptor) -> Self {
        Self {
            priority: work.priority,
            resources: work.resources.clone(),
            tags: work.tags.clone(),
        }
    }

    /// Of what only brings a value to runs of this priority.
    pub(super) fn of_value(priority: i32) -> Self {
        Self {
            priority,
            resources: Vec::new(),
            tags: Vec::new(),
        }
    }

    pub(super) fn options(&self, placement: &Placement) -> SubmitOptions {
        let resources = self.resources.iter();
        let resources = resources.map(|(name, amount)| (name.as_str(), *amount));
        let options = placement.options(resources);
        let options = match self.priority {
            0 => options,
            priority => options.priority(priority.into()),
        };
        if self.tags.is_empty() {
            return options;
        }
        let tags: wire::Value = self.tags.iter().map(String::as_str).collect();
        options.annotation("tags", tags)
    }
}
