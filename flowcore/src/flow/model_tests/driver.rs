//! One program, played by the real flow and by the reference side by side.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::Random;
use super::program::{Column, Options, Program, Step};
use super::reference::{Input, Number, Reference, What};
use super::runner::{Desk, Witness};
use super::tasks::{Code, mix, mix_anyway, mix_once, total};
use crate::arguments::Argument;
use crate::error::{Error, Result};
use crate::runner::RunReference;
use crate::state::StateName;
use crate::{IntoArgument, Mapped, TaskFuture, TaskOptions, allow_failure, flow, limits, unmapped};

/// How often a flow is polled that waits while its runner has nothing to do;
/// other threads may be giving its permits out.
const PATIENCE: u32 = 10_000;

#[derive(Default)]
struct World {
    reference: Reference,
    nodes: HashMap<RunReference, usize>,
    /// The handles, and the nodes that they stand for.
    runs: Vec<(TaskFuture<i64>, usize)>,
    maps: Vec<(Mapped<i64>, Vec<usize>)>,
    /// Of the limit, and of the store of records.
    tag: String,
}

type Shared = Arc<Mutex<World>>;

pub(super) fn run(seed: u64, reference: Reference) {
    let mut random = Random(seed);
    let program = Arc::new(Program::draw(&mut random));
    // Programs of one seed may be played side by side.
    let tag = format!("model-{}", uuid::Uuid::now_v7());
    limits().set(format!("tag:{tag}"), program.limit as u32);
    let world = Shared::default();
    world.lock().reference = Reference {
        limit: program.limit,
        ..reference
    };
    world.lock().tag.clone_from(&tag);
    let desk = Desk::default();
    let flow = played.with_options(|o| o.task_runner(desk.clone()));
    let mut call = pin!(flow(Arc::clone(&program), Arc::clone(&world)).into_future());
    let mut context = Context::from_waker(Waker::noop());
    let mut idle = 0;
    let ended = loop {
        if random.once_in(3) || !desk.step(&mut random, &world) {
            if let Poll::Ready(ended) = call.as_mut().poll(&mut context) {
                break ended;
            }
            idle += 1;
            assert!(idle < PATIENCE, "it waits for ever: {program:?}");
            if idle > PATIENCE / 10 {
                std::thread::sleep(Duration::from_millis(1));
            }
        } else {
            idle = 0;
        }
        world.lock().compare();
    };
    assert_eq!(ended.is_err(), program.gives_up, "{ended:?}");
    limits().remove(format!("tag:{tag}"));
    let world = world.lock();
    world.compare();
    world.compare_values();
}

#[flow]
async fn played(program: Arc<Program>, world: Shared) -> Result<()> {
    for step in &program.steps {
        world.lock().play(step);
        rest().await;
    }
    if program.gives_up {
        world.lock().reference.give_up();
        return Err(Error::msg("it gives up"));
    }
    Ok(())
}

/// Lets the driver do something else.
async fn rest() {
    let mut has_rested = false;
    std::future::poll_fn(|_| match std::mem::replace(&mut has_rested, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

impl World {
    fn play(&mut self, step: &Step) {
        match step {
            Step::Run {
                code,
                x,
                y,
                after,
                allow_failure,
                options,
            } => self.submit(*code, (*x, *y, *after), *allow_failure, *options),
            Step::Map {
                code,
                x,
                y,
                allow_failure,
                options,
            } => self.map(*code, *x, *y, *allow_failure, *options),
            Step::Total(map) => {
                let (rows, nodes) = &self.maps[*map];
                let run = total.submit(rows);
                let inputs = nodes.iter().map(|&node| input(node, false)).collect();
                let node = self
                    .reference
                    .submit(What::Total(nodes.clone()), inputs, PLAIN);
                self.keep(run, node);
            }
            Step::Cancel(run) => {
                let (run, node) = &self.runs[*run];
                self.reference.cancel(*node);
                run.cancel();
            }
            Step::CancelRow(map, row) => {
                let (rows, nodes) = &self.maps[*map];
                if let Some(&node) = nodes.get(*row) {
                    self.reference.cancel(node);
                    rows.get(*row).cancel();
                }
            }
            Step::CancelMap(map) => {
                let (rows, nodes) = &self.maps[*map];
                for &node in nodes {
                    self.reference.cancel(node);
                }
                rows.cancel();
            }
            Step::Rest => {}
        }
    }

    fn keep(&mut self, run: TaskFuture<i64>, node: usize) {
        let (_, reference) = run.place().run().expect("the call is right");
        self.nodes.insert(reference, node);
        self.runs.push((run, node));
    }

    fn submit(
        &mut self,
        code: Code,
        (x, y, after): (Option<usize>, Option<usize>, Option<usize>),
        allow_failure_of_x: bool,
        options: Options,
    ) {
        let allow = allow_failure_of_x && x.is_some();
        let options = options.cached_unless(allow);
        let change = self.change(options);
        let handle = |run: usize| self.runs[run].0.clone();
        let node = |run: usize| self.runs[run].1;
        let after_runs: Vec<_> = after.map(handle).into_iter().collect();
        let y_given = Given(y.map(handle), 2);
        let run = match x {
            Some(x) if allow => {
                let task = mix_anyway.with_options(change).after(&after_runs);
                task.submit(code, allow_failure(handle(x)), y_given)
            }
            x if options.cached => {
                let task = mix_once.with_options(change).after(&after_runs);
                task.submit(code, Given(x.map(handle), 1), y_given)
            }
            x => {
                let task = mix.with_options(change).after(&after_runs);
                task.submit(code, Given(x.map(handle), 1), y_given)
            }
        };
        let what = What::Mix(code, Number::of(x.map(node), 1), Number::of(y.map(node), 2));
        let inputs = x.map(|run| input(node(run), allow));
        let inputs = inputs
            .into_iter()
            .chain(y.map(|run| input(node(run), false)))
            .chain(after.map(|run| input(node(run), false)))
            .collect();
        let node = self.reference.submit(what, inputs, options);
        self.keep(run, node);
    }

    fn map(&mut self, code: Code, x: Column, y: Option<usize>, allow: bool, options: Options) {
        let allow = allow && matches!(x, Column::Map(_));
        let options = options.cached_unless(allow);
        let change = self.change(options);
        let y_given = unmapped(Given(y.map(|run| self.runs[run].0.clone()), 2));
        let code_given = unmapped(code);
        let numbers = |count: usize| -> Vec<i64> { (0..count as i64).collect() };
        let rows = match x {
            Column::Map(map) if allow => {
                let column = allow_failure(&self.maps[map].0);
                let task = mix_anyway.with_options(change);
                task.map(code_given, column, y_given)
            }
            Column::Numbers(count) if options.cached => {
                let task = mix_once.with_options(change);
                task.map(code_given, numbers(count), y_given)
            }
            Column::Numbers(count) => {
                let task = mix.with_options(change);
                task.map(code_given, numbers(count), y_given)
            }
            Column::Map(map) if options.cached => {
                let task = mix_once.with_options(change);
                task.map(code_given, &self.maps[map].0, y_given)
            }
            Column::Map(map) => {
                let task = mix.with_options(change);
                task.map(code_given, &self.maps[map].0, y_given)
            }
        };
        let y = y.map(|run| self.runs[run].1);
        let of_row = |row: Number| {
            let inputs = match row {
                Number::Of(node) => Some(input(node, allow)),
                Number::Known(_) => None,
            };
            let inputs = inputs.into_iter().chain(y.map(|node| input(node, false)));
            let what = What::Mix(code, row, Number::of(y, 2));
            (what, inputs.collect())
        };
        let column: Vec<Number> = match x {
            Column::Numbers(count) => (0..count as i64).map(Number::Known).collect(),
            Column::Map(map) => self.maps[map]
                .1
                .iter()
                .map(|&node| Number::Of(node))
                .collect(),
        };
        let nodes: Vec<usize> = column
            .into_iter()
            .map(|number| {
                let (what, inputs) = of_row(number);
                self.reference.submit(what, inputs, options)
            })
            .collect();
        for (row, &node) in nodes.iter().enumerate() {
            let handle = rows.get(row);
            let (_, reference) = handle.place().run().expect("the call is right");
            self.nodes.insert(reference, node);
        }
        self.maps.push((rows, nodes));
    }

    fn change(&self, options: Options) -> impl FnOnce(TaskOptions) -> TaskOptions + use<> {
        let tag = options.limited.then(|| self.tag.clone());
        let store = options.cached.then(|| format!("memory://{}", self.tag));
        move |o| {
            let o = o
                .retries(options.retries)
                .retry_delay(Duration::from_millis(options.delay));
            let o = match options.timeout {
                Some(limit) => o.timeout(Duration::from_millis(limit)),
                None => o,
            };
            let o = match store {
                Some(store) => o.result_store(store),
                None => o,
            };
            o.tags(tag)
        }
    }

    /// The states of all handles are those of the reference.
    fn compare(&self) {
        let rows = self.maps.iter().flat_map(|(rows, nodes)| {
            let states = rows.states();
            assert_eq!(states.len(), nodes.len());
            states.into_iter().zip(nodes.iter().copied())
        });
        let runs = self.runs.iter();
        let runs = runs.map(|(run, node)| (run.state().name(), *node));
        for (state, node) in rows.chain(runs) {
            let wanted = &self.reference.nodes[node];
            // Whether a run waits for its inputs or for a slot the reference
            // leaves open; that nobody waits for ever the driver sees.
            let state = match state {
                StateName::AwaitingConcurrencySlot => StateName::Pending,
                state => state,
            };
            assert_eq!(state, wanted.state, "node {node}: {wanted:?}");
        }
    }

    /// Everything has ended, and what completed has its value.
    fn compare_values(&self) {
        let rows = self.maps.iter().flat_map(|(rows, nodes)| {
            let handles = (0..nodes.len()).map(|row| rows.get(row));
            handles.zip(nodes.iter().copied()).collect::<Vec<_>>()
        });
        let runs = self.runs.iter().map(|(run, node)| (run.clone(), *node));
        for (run, node) in rows.chain(runs) {
            let wanted = &self.reference.nodes[node];
            assert!(wanted.state.is_settled(), "node {node}: {wanted:?}");
            assert_eq!(run.run_count(), wanted.attempt, "node {node}: {wanted:?}");
            assert_eq!(
                pollster::block_on(run).ok(),
                wanted.value,
                "node {node}: {wanted:?}"
            );
        }
    }
}

/// Of sums: nothing special.
const PLAIN: Options = Options {
    retries: 0,
    delay: 0,
    timeout: None,
    limited: false,
    cached: false,
};

fn input(node: usize, allow_failure: bool) -> Input {
    Input {
        node,
        allow_failure,
    }
}

impl Number {
    fn of(node: Option<usize>, known: i64) -> Self {
        node.map_or(Self::Known(known), Self::Of)
    }
}

/// A run's number, or one that is known.
struct Given(Option<TaskFuture<i64>>, i64);

impl IntoArgument<i64> for Given {
    fn into_argument(self) -> Argument<i64> {
        match self.0 {
            Some(run) => run.into_argument(),
            None => self.1.into_argument(),
        }
    }
}

impl Witness for Shared {
    fn is_over(&self, run: RunReference) -> bool {
        let world = self.lock();
        world.reference.is_over(world.nodes[&run])
    }

    fn begins(&self, run: RunReference, attempt: u32) {
        let mut world = self.lock();
        let node = world.nodes[&run];
        world.reference.begin(node, attempt);
    }

    fn ends(&self, run: RunReference, timed_out: bool) {
        let mut world = self.lock();
        let node = world.nodes[&run];
        world.reference.end(node, timed_out);
    }
}
