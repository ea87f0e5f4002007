//! Which runs of a flow one key of Dask stands for.

use std::ops::Range;

use flowcore::bridge::RunReference;
use serde::{Deserialize, Serialize};

/// A single run, whose key holds its plain value, or consecutive rows of a
/// map, whose key holds what became of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Runs {
    Run(RunReference),
    Rows(u64, Range<u32>),
}

impl Runs {
    /// The place of a run within these.
    pub(crate) fn index(&self, run: RunReference) -> Option<u32> {
        match (self, run) {
            (Self::Run(own), run) => (*own == run).then_some(0),
            (Self::Rows(map, rows), RunReference::Row(other, row)) if *map == other => {
                rows.contains(&row).then(|| row - rows.start)
            }
            _ => None,
        }
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = RunReference> + use<> {
        let (single, rows) = match self {
            Self::Run(run) => (Some(*run), None),
            Self::Rows(map, rows) => (None, Some((*map, rows.clone()))),
        };
        let rows = rows
            .into_iter()
            .flat_map(|(map, rows)| rows.map(move |row| RunReference::Row(map, row)));
        single.into_iter().chain(rows)
    }
}
