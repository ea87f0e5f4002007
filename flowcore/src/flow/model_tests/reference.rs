//! The reference interpreter: what every run of a program must be after each
//! thing that happened.
//!
//! A run or a row is a node with its inputs. What follows from a change is
//! worked out again from all nodes, as slowly as it is plain.

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
    /// It is wrong on purpose.
    pub(super) forgets_retries: bool,
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
            StateName::Completed => true,
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
        let ended = if timed_out {
            Err(StateName::TimedOut)
        } else {
            self.result(node).map_err(|_| StateName::Failed)
        };
        let node = &mut self.nodes[index];
        node.is_busy = false;
        node.state = match ended {
            Ok(value) => {
                node.value = Some(value);
                StateName::Completed
            }
            Err(_) if node.asked_to_stop => StateName::Cancelled,
            Err(_) if node.attempt <= node.options.retries && !self.forgets_retries => {
                StateName::AwaitingRetry
            }
            Err(state) => state,
        };
        self.work_out();
    }

    fn result(&self, node: &Node) -> Result<i64, String> {
        let value = |node: usize| self.nodes[node].value.unwrap_or(-1);
        let number = |number| match number {
            Number::Known(known) => known,
            Number::Of(node) => value(node),
        };
        match &node.what {
            What::Mix(code, x, y) => result(*code, node.attempt, number(*x), number(*y)),
            What::Total(rows) => Ok(rows.iter().map(|&row| value(row)).sum::<i64>() % 1009),
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
