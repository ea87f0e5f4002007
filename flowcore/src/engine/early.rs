//! Work for runners that order it themselves: handed out before its inputs
//! are there.
//!
//! Invariant: a run is handed out early only if everything it waits for has
//! been handed to the same runner before, so that inputs always come first.
//! What is held back (a local run upstream, one that waits for slots, an
//! upstream whose failure is allowed, a length that is not known) holds back
//! what depends on it.

use super::command::Command;
use super::graph::{Engine, MapInput, RunInput, Source};
use super::map::Ranges;
use super::{MapId, RunId};
use crate::state::StateName;

impl Engine {
    /// The run goes to the runner; it is handed out now if it can be.
    pub(crate) fn offer_run(&mut self, id: RunId, inputs: &[RunInput]) {
        let can = inputs.iter().all(|input| self.comes_before(input));
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        run.goes_out = true;
        if can && !run.dispatched && run.life.name == StateName::Pending {
            run.dispatched = true;
            self.commands.push_back(Command::Dispatch(id));
        }
    }

    /// The map's rows go to the runner; those that wait are handed out now if
    /// they can be.
    pub(crate) fn offer_map(&mut self, id: MapId, inputs: &[MapInput]) {
        let can = inputs.iter().all(|input| match input {
            MapInput::Aligned {
                map, allow_failure, ..
            } => !allow_failure && self.is_handed_out(*map),
            MapInput::Row(_, input) | MapInput::Whole(input) => self.comes_before(input),
            MapInput::LengthOf(_) => false,
        });
        let Some(map) = self.maps.get_mut(id) else {
            return;
        };
        map.goes_out = true;
        if !can || map.is_handed_out || map.length.is_none() {
            return;
        }
        let mut waiting = Ranges::default();
        for row in 0..map.length.unwrap_or(0) {
            // Rows without inputs left have been handed out already.
            if map.states[row as usize] == StateName::Pending && !map.is_row_ready(row) {
                waiting.push(row);
            }
        }
        map.is_handed_out = true;
        for rows in waiting.into_vec() {
            self.commands.push_back(Command::DispatchRows(id, rows));
        }
    }

    /// Whether the runner has this input, or will have made it before it gets
    /// to what comes next.
    fn comes_before(&self, input: &RunInput) -> bool {
        match &input.source {
            Source::Run(id) => self.runs.get(*id).is_none_or(|run| {
                run.life.is_settled() || (run.is_handed_out() && !input.allow_failure)
            }),
            Source::Row(id, _) | Source::Rows(id, _) => {
                !input.allow_failure && self.is_handed_out(*id)
            }
            Source::External | Source::Rejected(_) => false,
        }
    }

    fn is_handed_out(&self, id: MapId) -> bool {
        self.maps.get(id).is_none_or(|map| {
            map.is_settled() || (map.goes_out && map.is_handed_out && !map.has_waited)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::definition::Failure;
    use crate::engine::{End, Waiting};
    use crate::error::Error;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1);

    fn on(source: Source) -> RunInput {
        RunInput {
            source,
            allow_failure: false,
        }
    }

    fn submit(engine: &mut Engine, inputs: &[RunInput], goes_out: bool) -> RunId {
        let id = engine.reserve_run();
        engine.submit_run(id, inputs.to_vec(), || NOW);
        if goes_out {
            engine.offer_run(id, inputs);
        }
        id
    }

    fn map(engine: &mut Engine, inputs: &[MapInput]) -> MapId {
        let id = engine.reserve_map();
        engine.submit_map(id, Some(3), inputs.to_vec(), NOW);
        engine.offer_map(id, inputs);
        id
    }

    fn commands(engine: &mut Engine) -> Vec<Command> {
        std::iter::from_fn(|| engine.next_command()).collect()
    }

    #[test]
    fn inputs_are_handed_out_first_and_everything_once() {
        let mut engine = Engine::default();
        let first = submit(&mut engine, &[], true);
        let second = submit(&mut engine, &[on(Source::Run(first))], true);
        let rows = map(&mut engine, &[MapInput::Whole(on(Source::Run(second)))]);
        let aligned = MapInput::Aligned {
            map: rows,
            first: 0,
            allow_failure: false,
        };
        let more = map(&mut engine, &[aligned]);
        let last = submit(&mut engine, &[on(Source::Rows(more, None))], true);
        assert_eq!(
            commands(&mut engine),
            [
                Command::Dispatch(first),
                Command::Dispatch(second),
                Command::DispatchRows(rows, 0..3),
                Command::DispatchRows(more, 0..3),
                Command::Dispatch(last),
            ]
        );
        engine.run_settled(first, End::Completed, NOW);
        engine.run_settled(second, End::Completed, NOW);
        for id in [rows, more] {
            for row in 0..3 {
                engine.row_settled(id, row, End::Completed, NOW);
            }
        }
        let dispatched = commands(&mut engine)
            .into_iter()
            .filter(|command| matches!(command, Command::Dispatch(_) | Command::DispatchRows(..)))
            .count();
        assert_eq!(dispatched, 0);
    }

    #[test]
    fn what_is_held_back_holds_back_its_dependents() {
        let mut engine = Engine::default();
        let local = submit(&mut engine, &[], false);
        let after_local = submit(&mut engine, &[on(Source::Run(local))], true);
        let later = submit(&mut engine, &[on(Source::Run(after_local))], true);
        assert_eq!(commands(&mut engine), [Command::Dispatch(local)]);
        engine.run_settled(local, End::Completed, NOW);
        let dispatched = Command::Dispatch(after_local);
        assert!(commands(&mut engine).contains(&dispatched));
        engine.run_settled(after_local, End::Completed, NOW);
        assert!(commands(&mut engine).contains(&Command::Dispatch(later)));
    }

    #[test]
    fn what_waits_for_slots_holds_back_its_dependents() {
        let mut engine = Engine::default();
        let limited = submit(&mut engine, &[], true);
        let rows = map(&mut engine, &[]);
        assert_eq!(commands(&mut engine).len(), 2);
        engine.run_awaits_slot(limited, Waiting::Told);
        engine.rows_await_slots(rows, 1..3, Waiting::Told);
        let after_run = submit(&mut engine, &[on(Source::Run(limited))], true);
        let after_rows = submit(&mut engine, &[on(Source::Rows(rows, None))], true);
        assert_eq!(commands(&mut engine), []);
        engine.run_admitted(limited, Waiting::Told);
        let more = submit(&mut engine, &[on(Source::Run(limited))], true);
        assert_eq!(
            commands(&mut engine),
            [Command::Dispatch(limited), Command::Dispatch(more)]
        );
        engine.run_settled(limited, End::Completed, NOW);
        engine.rows_completed(rows, 0, &[NOW; 4]);
        let dispatched = commands(&mut engine);
        for id in [after_run, after_rows] {
            assert!(
                dispatched.contains(&Command::Dispatch(id)),
                "{dispatched:?}"
            );
        }
    }

    #[test]
    fn a_failure_takes_back_what_was_handed_out() {
        let mut engine = Engine::default();
        let first = submit(&mut engine, &[], true);
        let second = submit(&mut engine, &[on(Source::Run(first))], true);
        let rows = map(&mut engine, &[MapInput::Whole(on(Source::Run(second)))]);
        let failure = Failure::new(StateName::Failed, None, Error::msg("bad"));
        engine.run_settled(first, End::Ended(failure), NOW);
        let commands = commands(&mut engine);
        assert!(commands.contains(&Command::Cancel(second)), "{commands:?}");
        for row in 0..3 {
            assert!(
                commands.contains(&Command::CancelRow(rows, row)),
                "{commands:?}"
            );
        }
        assert!(engine.is_idle());
    }
}
