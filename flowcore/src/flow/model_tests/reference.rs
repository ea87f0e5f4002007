//! The reference interpreter: what every run of a program must be after each
//! thing that happened.
//!
//! A run or a row is a node with its inputs. What follows from a change is
//! worked out again from all nodes, as slowly as it is plain.

use std::collections::HashMap;

use super::program::Options;
use super::tasks::{Code, result};
use crate::state::StateName;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) state: StateName,
    pub(super) attempt: u32,
    pub(super) value: Option<i64>,
    pub(super) what: What,
    pub(super) inputs: Vec<Input>,
    pub(super) options: Options,
    /// Somebody wants it to stop while it runs.
    asked_to_stop: bool,
    /// An attempt of it runs.
    is_busy: bool,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// Of a first and a second number.
    Mix(Code, Number, Number),
    Total(Vec<usize>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Known(i64),
    Of(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) node: usize,
    pub(super) allow_failure: bool,
}

#[derive(Debug, Default)]
pub(super) struct Reference {
    pub(super) nodes: Vec<Node>,
    pub(super) limit: usize,
    /// What cached runs with these inputs gave.
    pub(super) records: HashMap<(Code, i64, i64), i64>,
    /// It is wrong on purpose.
    pub(super) mistake: Option<Mistake>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mistake {
    ForgetsRetries,
    ForgetsRecords,
}

impl Reference {
    pub(super) fn submit(&mut self, what: What, inputs: Vec<Input>, options: Options) -> usize {
        self.nodes.push(Node {
            state: StateName::Pending,
            attempt: 0,
            value: None,
            what,
            inputs,
            options,
            asked_to_stop: false,
            is_busy: false,
        });
        self.work_out();
        self.nodes.len() - 1
    }

    /// Whether an input that ended so lets its dependents go on.
    fn passes(&self, input: &Input) -> bool {
        match self.nodes[input.node].state {
            StateName::Completed | StateName::Cached => true,
            StateName::Failed | StateName::TimedOut | StateName::NotReady => input.allow_failure,
            _ => false,
        }
    }

    /// Who waits for something that ended badly never starts.
    fn work_out(&mut self) {
        loop {
            let stopped = self.nodes.iter().position(|node| {
                node.state == StateName::Pending
                    && node.inputs.iter().any(|input| {
                        self.nodes[input.node].state.is_settled() && !self.passes(input)
                    })
            });
            match stopped {
                Some(node) => self.nodes[node].state = StateName::NotReady,
                None => return,
            }
        }
    }

    /// The runner begins an attempt.
    pub(super) fn begin(&mut self, index: usize, attempt: u32) {
        let node = &self.nodes[index];
        assert_eq!(attempt, node.attempt + 1, "node {index} begins");
        assert!(!node.is_busy, "node {index} runs twice at once");
        let waited = [StateName::Pending, StateName::AwaitingRetry];
        assert!(waited.contains(&node.state), "node {index} has {node:?}");
        for input in &node.inputs {
            assert!(self.passes(input), "node {index} begins before {input:?}");
        }
        let begun =
            |node: &&Node| node.options.limited && node.attempt > 0 && !node.state.is_settled();
        if node.options.limited && attempt == 1 {
            let held = self.nodes.iter().filter(begun).count();
            assert!(held < self.limit, "{held} runs of {} at once", self.limit);
        }
        let node = &mut self.nodes[index];
        node.attempt = attempt;
        node.is_busy = true;
        node.state = if attempt > 1 {
            StateName::Retrying
        } else {
            StateName::Running
        };
    }

    /// An attempt of a run that has settled meanwhile is left out.
    pub(super) fn is_over(&self, index: usize) -> bool {
        self.nodes[index].state.is_settled()
    }

    /// The attempt ends, by its own code or because its time is up.
    pub(super) fn end(&mut self, index: usize, timed_out: bool) {
        let node = &self.nodes[index];
        let key = self.key(node);
        let record = key.and_then(|key| self.records.get(&key));
        let ended = if timed_out {
            Err(StateName::TimedOut)
        } else if let Some(&value) = record {
            Ok((value, StateName::Cached))
        } else {
            let result = self.result(node).map_err(|_| StateName::Failed);
            result.map(|value| (value, StateName::Completed))
        };
        if let (Some(key), Ok((value, _)), None) = (key, &ended, self.mistake) {
            self.records.insert(key, *value);
        }
        let forgets_retries = self.mistake == Some(Mistake::ForgetsRetries);
        let node = &mut self.nodes[index];
        node.is_busy = false;
        node.state = match ended {
            Ok((value, state)) => {
                node.value = Some(value);
                state
            }
            Err(_) if node.asked_to_stop => StateName::Cancelled,
            Err(_) if node.attempt <= node.options.retries && !forgets_retries => {
                StateName::AwaitingRetry
            }
            Err(state) => state,
        };
        self.work_out();
    }

    fn result(&self, node: &Node) -> Result<i64, String> {
        match &node.what {
            What::Mix(code, x, y) => {
                let [x, y] = [*x, *y].map(|number| self.number(number));
                result(*code, node.attempt, x, y)
            }
            What::Total(rows) => {
                let rows = rows.iter().map(|&row| self.number(Number::Of(row)));
                Ok(rows.sum::<i64>() % 1009)
            }
        }
    }

    fn number(&self, number: Number) -> i64 {
        match number {
            Number::Known(known) => known,
            Number::Of(node) => self.nodes[node].value.unwrap_or(-1),
        }
    }

    /// What the value of a cached run is kept under.
    fn key(&self, node: &Node) -> Option<(Code, i64, i64)> {
        match &node.what {
            What::Mix(code, x, y) if node.options.cached => {
                Some((*code, self.number(*x), self.number(*y)))
            }
            _ => None,
        }
    }

    pub(super) fn cancel(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.is_busy {
            node.asked_to_stop = true;
        } else if !node.state.is_settled() {
            node.state = StateName::Cancelled;
        }
        self.work_out();
    }

    /// The flow gives up: what has not begun never does, what runs is asked to
    /// stop.
    pub(super) fn give_up(&mut self) {
        // All at once: nobody is NotReady because of another.
        for node in &mut self.nodes {
            if node.is_busy {
                node.asked_to_stop = true;
            } else if !node.state.is_settled() {
                node.state = StateName::Cancelled;
            }
        }
    }
}
