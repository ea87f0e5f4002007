//! A starved pool never dead-locks: random trees of runs that wait for the
//! runs they start, on one or two threads.
//!
//! Every node waits in one of the ways there are: it blocks or awaits, for
//! runs that it submitted, for a map, for direct calls, for a subflow; some
//! leaves hold the one slot of a limit. With one thread none of it could end if a run that waits kept its slot.

use std::time::Duration;

use flow_tests::scale::config;
use flowcore::prelude::*;
use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::support::run_for;

/// A tree takes milliseconds; shrinking one that hangs waits for this again and
/// again.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
struct Node {
    /// Whether the node is sync code, which blocks, or async.
    blocks: bool,
    how: How,
    children: Vec<Node>,
}

/// How a node starts its children.
#[derive(Clone, Copy, Debug)]
enum How {
    Submit,
    Map,
    Call,
    Subflow,
    /// In a subflow with a runner of its own, of one thread.
    OwnPool,
    /// One after the other, each after the one before it.
    Chain,
}

impl Node {
    fn size(&self) -> i64 {
        1 + self.children.iter().map(Self::size).sum::<i64>()
    }
}

fn node() -> impl Strategy<Value = Node> {
    let how = prop_oneof![
        Just(How::Submit),
        Just(How::Map),
        Just(How::Call),
        Just(How::Subflow),
        Just(How::OwnPool),
        Just(How::Chain),
    ];
    let leaf = any::<bool>().prop_map(|blocks| Node {
        blocks,
        how: How::Submit,
        children: Vec::new(),
    });
    leaf.prop_recursive(6, 40, 4, move |below| {
        let children = proptest::collection::vec(below, 1..4);
        (any::<bool>(), how.clone(), children).prop_map(|(blocks, how, children)| Node {
            blocks,
            how,
            children,
        })
    })
}

/// Each gives the number of nodes below and itself.
#[task(local)]
fn blocking(node: Node) -> Result<i64> {
    let Node { how, children, .. } = node;
    let below = match how {
        How::Submit => {
            // All are there before any is waited for.
            let runs: Vec<_> = children.into_iter().map(submit).collect();
            runs.into_iter()
                .map(TaskFuture::block)
                .sum::<Result<i64>>()?
        }
        How::Map => blocking.map(children).block()?.into_iter().sum(),
        How::Call => {
            let calls = children.into_iter().map(|child| {
                if child.blocks {
                    blocking(child).block()
                } else {
                    awaiting(child).block()
                }
            });
            calls.sum::<Result<i64>>()?
        }
        How::Subflow => subflow(children).block()?,
        How::OwnPool => own_pool(children).block()?,
        How::Chain => chain(children).map_or(Ok(0), TaskFuture::block)?,
    };
    Ok(below + 1)
}

#[task(local)]
async fn awaiting(node: Node) -> Result<i64> {
    let Node { how, children, .. } = node;
    let below = match how {
        How::Submit => sum_of_runs(children).await?,
        How::Map => awaiting.map(children).await?.into_iter().sum(),
        How::Call => {
            let mut sum = 0;
            for child in children {
                sum += if child.blocks {
                    blocking(child).await?
                } else {
                    awaiting(child).await?
                };
            }
            sum
        }
        How::Subflow => subflow(children).await?,
        How::OwnPool => own_pool(children).await?,
        How::Chain => match chain(children) {
            Some(last) => last.await?,
            None => 0,
        },
    };
    Ok(below + 1)
}

/// A leaf; at most one of all runs at once.
#[task(local, tags = ["starved"])]
fn limited(node: Node) -> i64 {
    node.size()
}

/// Adds its own nodes to what came before it.
#[task(local)]
fn link(before: i64, node: Node) -> Result<i64> {
    Ok(before + submit(node).block()?)
}

#[flow]
async fn subflow(nodes: Vec<Node>) -> Result<i64> {
    sum_of_runs(nodes).await
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn own_pool(nodes: Vec<Node>) -> Result<i64> {
    sum_of_runs(nodes).await
}

fn submit(node: Node) -> TaskFuture<i64> {
    if node.blocks && node.children.is_empty() {
        limited.submit(node)
    } else if node.blocks {
        blocking.submit(node)
    } else {
        awaiting.submit(node)
    }
}

/// The last link, if there is any.
fn chain(nodes: Vec<Node>) -> Option<TaskFuture<i64>> {
    nodes.into_iter().fold(None, |before, node| {
        Some(match before {
            None => link.submit(0, node),
            Some(before) => link.submit(before, node),
        })
    })
}

async fn sum_of_runs(nodes: Vec<Node>) -> Result<i64> {
    let runs: Vec<_> = nodes.into_iter().map(submit).collect();
    let mut sum = 0;
    for run in runs {
        sum += run.await?;
    }
    Ok(sum)
}

proptest! {
    #![proptest_config(Config { max_shrink_time: 60_000, ..config(100) })]

    #[test]
    fn runs_that_wait_for_runs_end_on_a_pool_of_one_or_two(
        nodes in proptest::collection::vec(node(), 1..4),
        runner in 0..3,
    ) {
        let flow = subflow.with_options(|o| match runner {
            0 => o.task_runner(ThreadPoolTaskRunner::new().max_workers(1)),
            1 => o.task_runner(ThreadPoolTaskRunner::new().max_workers(2)),
            _ => o.task_runner(SequentialTaskRunner::new()),
        });
        flowcore::limits().set("tag:starved", 1);
        let size: i64 = nodes.iter().map(Node::size).sum();
        let ended = run_for(PATIENCE, async move { flow(nodes).await });
        prop_assert_eq!(ended.expect("no run fails"), size);
    }
}
