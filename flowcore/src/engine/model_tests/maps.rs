//! Maps come in, and their lengths become known.

use std::collections::BTreeSet;

use super::super::graph::MapInput;
use super::super::run::Waits;
use super::both::{Both, failure, pick};
use super::model::{Column, ModelMap};
use super::program::{Alignment, Input, InputKind, Limited};
use crate::state::StateName;

impl Both {
    pub(super) fn submit_map(
        &mut self,
        length: Option<u8>,
        aligned: &[Alignment],
        whole: &[Input],
        rows: &[(u8, Input)],
        early: bool,
        limited: Limited,
    ) {
        let mut inputs = Vec::new();
        let mut model = ModelMap {
            early,
            limited,
            ..ModelMap::default()
        };
        let mut length = length.map(u32::from);
        let aligned: Vec<_> = aligned
            .iter()
            .filter_map(|alignment| Some((pick(alignment.map, self.maps.len())?, alignment)))
            .filter(|(map, _)| self.is_held((false, *map)).is_some())
            .collect();
        // Whole maps as columns decide how many rows there are.
        let lengths: Vec<Option<u32>> = aligned
            .iter()
            .filter(|(_, alignment)| alignment.first.is_none())
            .map(|(map, _)| {
                self.model.maps[*map]
                    .rows
                    .as_ref()
                    .map(|rows| rows.len() as u32)
            })
            .collect();
        if lengths.contains(&None) {
            length = None;
        } else if let Some(first) = lengths.first() {
            length = *first;
        }
        for (map, alignment) in aligned {
            let is_whole = alignment.first.is_none();
            let known = self.model.maps[map]
                .rows
                .as_ref()
                .map(|rows| rows.len() as u32);
            if is_whole && length.is_some() && known != length {
                // Refused before it gets here.
                continue;
            }
            let (id, allow_failure) = (self.maps[map], alignment.allow_failure);
            let first = alignment.first.map_or(0, u32::from);
            inputs.push(MapInput::Aligned {
                map: id,
                first,
                allow_failure,
            });
            if is_whole && known.is_none() {
                inputs.push(MapInput::LengthOf(id));
            }
            model.aligned.push(Column {
                map,
                first,
                allow_failure,
                gives_length: is_whole,
            });
        }
        let (whole, dependencies) = self.inputs(whole);
        inputs.extend(whole.into_iter().map(MapInput::Whole));
        model.whole = dependencies;
        for (row, input) in rows {
            let row = u32::from(*row);
            if !matches!(input.kind, InputKind::Outside)
                && let Some((input, dependency)) = self.input(input)
                && length.is_some_and(|length| row < length)
            {
                inputs.push(MapInput::Row(row, input));
                model.single.push((row, dependency));
            }
        }
        let now = self.now();
        let id = self.engine.reserve_map();
        self.engine.submit_map(id, length, inputs.clone(), now);
        if early {
            self.engine.offer_map(id, &inputs);
        }
        self.maps.push(id);
        let dependencies = model.whole.clone();
        self.model.maps.push(model);
        if let Some(length) = length {
            self.model.rows_known(self.maps.len() - 1, length);
        }
        if let Some(label) = self.model.stopped.clone() {
            self.cancel_map_in_model(self.maps.len() - 1, &label);
        }
        self.watch(&dependencies, Waits::Map(id));
    }

    /// Maps whose length was asked for.
    pub(super) fn unmeasured(&self) -> Vec<usize> {
        (0..self.maps.len())
            .filter(|map| {
                let entry = &self.model.maps[*map];
                self.measured.contains(map) && entry.rows.is_none() && entry.ended.is_none()
            })
            .collect()
    }

    pub(super) fn measure(&mut self, number: u8, length: Option<u8>) {
        let open = self.unmeasured();
        let Some(map) = pick(number, open.len()).map(|index| open[index]) else {
            return;
        };
        let now = self.now();
        let lengths: BTreeSet<u32> = self.model.maps[map]
            .aligned
            .iter()
            .filter(|column| column.gives_length)
            .filter_map(|column| self.model.maps[column.map].rows.as_ref())
            .map(|rows| rows.len() as u32)
            .collect();
        let length = match lengths.len() {
            0 => length.map(u32::from),
            1 => lengths.first().copied(),
            // Columns of different lengths.
            _ => None,
        };
        match length {
            Some(length) => {
                self.model.rows_known(map, length);
                self.engine.length_known(self.maps[map], Ok(length), now);
            }
            None => {
                let label = format!("map {map}");
                self.model.maps[map].ended = Some((StateName::Failed, [label.clone()].into()));
                let failure = failure(StateName::Failed, &label);
                self.engine.length_known(self.maps[map], Err(failure), now);
            }
        }
    }
}
