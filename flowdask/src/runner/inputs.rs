//! The outcomes that a payload reads, in the worker that executes it.

use std::collections::HashMap;
use std::ops::Range;

use flowcore::bridge::{EncodedValue, RunReference, ValueSource};
use flowcore::{Error, Result};

use super::payload::{Input, Payload};
use super::runs::Runs;
use super::shared_value::ValueId;
use crate::values::{self, Rows};
use crate::wire::{Key, Serialized};
use crate::worker::Stored;

#[derive(Default)]
pub(super) struct Inputs {
    runs: HashMap<RunReference, Result<Serialized, Error>>,
    /// Of each map, in the order of their rows.
    batches: HashMap<u64, Vec<Batch>>,
    shared: HashMap<ValueId, Serialized>,
}

/// Rows of a map, or why none of them is there.
type Batch = (Range<u32>, Result<Rows, Error>);

impl Inputs {
    /// `values` are the dependencies, in the payload's order.
    pub(super) fn new(payload: &Payload, values: &[(Key, Stored)]) -> Result<Self> {
        let mut values = values.iter();
        let mut inputs = Self::default();
        for (runs, input) in &payload.inputs {
            let outcome = match input {
                Input::Failed(error) => Err(error.clone()),
                Input::Dependency => {
                    let (_, stored) = values
                        .next()
                        .ok_or_else(|| Error::msg(format!("the input {runs:?} is missing")))?;
                    Ok(&stored.value)
                }
            };
            match runs {
                Runs::Run(run) => {
                    inputs.runs.insert(*run, outcome.cloned());
                }
                Runs::Rows(map, rows) => {
                    let outcome = match outcome {
                        Ok(value) => Ok(Rows::from_wire(value).map_err(Error::from)?),
                        Err(error) => Err(error),
                    };
                    let batches = inputs.batches.entry(*map).or_default();
                    batches.push((rows.clone(), outcome));
                }
            }
        }
        for value in &payload.values {
            if let Some((_, stored)) = values.next() {
                inputs.shared.insert(*value, stored.value.clone());
            }
        }
        for batches in inputs.batches.values_mut() {
            batches.sort_unstable_by_key(|(rows, _)| rows.start);
        }
        Ok(inputs)
    }

    fn row(&self, map: u64, row: u32) -> Option<Result<EncodedValue, Error>> {
        let batches = self.batches.get(&map)?;
        let index = batches.partition_point(|(rows, _)| rows.end <= row);
        let (rows, outcome) = batches.get(index)?;
        let index = row.checked_sub(rows.start)?;
        match outcome {
            Ok(values) => {
                let outcome = values.outcome(index)?;
                Some(outcome.map_err(|failure| failure.error.clone()))
            }
            Err(error) => Some(Err(error.clone())),
        }
    }
}

impl ValueSource for Inputs {
    fn outcome(&self, run: RunReference) -> Result<Result<EncodedValue, Error>> {
        if let RunReference::Row(map, row) = run
            && let Some(outcome) = self.row(map, row)
        {
            return Ok(outcome);
        }
        match self.runs.get(&run) {
            Some(Ok(value)) => Ok(Ok(values::from_wire(value).map_err(Error::from)?)),
            Some(Err(error)) => Ok(Err(error.clone())),
            None => Err(Error::msg(format!("the result of {run:?} is not here"))),
        }
    }

    fn shared(&self, value: ValueId) -> Result<EncodedValue> {
        match self.shared.get(&value) {
            Some(value) => Ok(values::from_wire(value).map_err(Error::from)?),
            None => Err(Error::msg("a large value that the run shares is not here")),
        }
    }
}
