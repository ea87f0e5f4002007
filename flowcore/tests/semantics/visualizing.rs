//! `flow.visualize(..)`: the graph of what a flow would do, without doing it.

use std::sync::atomic::{AtomicU32, Ordering};

use flowcore::bridge::{RunnerFuture, RunnerSession};
use flowcore::prelude::*;
use flowcore::{ErrorKind, RunInfo, TaskInfo, TaskRunner};

use crate::support::run;

#[task]
fn load(_path: &str) -> Vec<i64> {
    unreachable!("a task ran")
}

#[task]
async fn inc(_x: i64) -> i64 {
    unreachable!("a task ran")
}

#[task]
fn add(_x: i64, _y: i64) -> i64 {
    unreachable!("a task ran")
}

#[task]
fn sum_all(_z: Vec<i64>) -> i64 {
    unreachable!("a task ran")
}

#[task]
async fn say(_text: &str) {
    unreachable!("a task ran")
}

#[task(local)]
fn clear(_folder: String) {
    unreachable!("a task ran")
}

/// `"from" -> "to"` for the edges between nodes, by their labels.
fn edges(dot: &str) -> Vec<(String, String)> {
    let mut labels = std::collections::HashMap::new();
    for line in dot.lines().map(str::trim) {
        if let Some((name, rest)) = line.split_once(" [label=\"")
            && let Some((label, _)) = rest.split_once('"')
        {
            labels.insert(name, label.split("\\n").next().unwrap_or(label).to_owned());
        }
    }
    let mut edges = Vec::new();
    for line in dot.lines().map(str::trim) {
        if let Some((from, rest)) = line.split_once(" -> ")
            && let Some((to, _)) = rest.split_once(' ')
            && let (Some(from), Some(to)) = (labels.get(from), labels.get(to))
        {
            edges.push((from.clone(), to.clone()));
        }
    }
    edges.sort();
    edges
}

fn named(edges: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = edges
        .iter()
        .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
    owned.collect()
}

#[flow]
async fn mapped(range: Vec<i64>) -> Result<i64> {
    let a = inc.map(&range);
    let b = inc.map(&a);
    let c = add.map(&a, &b);
    sum_all.submit(c).await
}

#[test]
fn a_mapped_flow_is_drawn_and_nothing_runs() {
    run(async {
        let graph = mapped.visualize((0..1_000).collect()).await.unwrap();
        let dot = graph.to_dot();
        let drawn = [
            ("add", "sum_all"),
            ("inc", "add"),
            ("inc", "add"),
            ("inc", "inc"),
        ];
        assert_eq!(edges(&dot), named(&drawn));
        assert_eq!(dot.matches("1,000 rows").count(), 3);
        assert!(graph.to_svg().contains("sum_all"));
        // It asked for that, and nothing says whether it was its last line.
        assert_eq!(graph.asked_for(), ["sum_all"]);
        assert!(dot.contains("until it asks for the value of `sum_all`"));

        let graph = mapped.visualize(vec![1]).value_of(&sum_all, 3).await;
        let graph = graph.unwrap();
        assert!(graph.asked_for().is_empty());
        assert!(!graph.to_dot().contains("until"));
    });
}

#[flow]
async fn branches() -> Result<i64> {
    say("begin").await?;
    clear("old".to_owned()).await?;
    let rows = load("table").await?;
    let mut last = inc.submit(0);
    for row in rows {
        last = add.submit(&last, row);
    }
    let order = sum_all.after(&last).submit(vec![0]);
    say("end").await?;
    Ok(order.await? + 1)
}

#[test]
fn values_that_the_code_needs_are_given() {
    run(async {
        // Not given: it comes as far as that.
        let graph = branches.visualize().await.unwrap();
        assert_eq!(graph.asked_for(), ["load"]);
        assert!(!graph.to_dot().contains("inc"));

        let graph = branches
            .visualize()
            .value_of(&load, vec![7, 8])
            .value_of(&sum_all, 1)
            .await
            .unwrap();
        assert!(graph.asked_for().is_empty());
        let drawn = [("add", "add"), ("add", "sum_all"), ("inc", "add")];
        assert_eq!(edges(&graph.to_dot()), named(&drawn));
        assert!(graph.to_dot().contains("style=dashed"));
        assert_eq!(graph.to_dot().matches("\"say\"").count(), 2);
    });
}

#[flow]
fn in_sync_code(start: i64) -> Result<i64> {
    let first = inc.submit(start);
    add.submit(&first, &first).block()
}

#[flow]
async fn outer(text: &str) -> Result<i64> {
    say(text).await?;
    let inner = in_sync_code(1).await.unwrap_or(5);
    let rows = inc.map(load.submit("rows"));
    // What is there of it is an error, which the flow may look at.
    assert!(rows.await.is_err());
    Ok(inner)
}

#[test]
fn subflows_are_clusters_and_errors_can_be_handled() {
    run(async {
        let text = "borrowed".to_owned();
        let graph = outer.visualize(&text).await.unwrap();
        assert_eq!(graph.asked_for(), ["add", "inc"]);
        let dot = graph.to_dot();
        assert!(dot.contains("without the values of `add`, `inc`"), "{dot}");
        assert!(!dot.contains("until"), "{dot}");
        assert_eq!(dot.matches("subgraph").count(), 2);
        assert!(
            dot.contains("in-sync-code") && dot.contains("a map"),
            "{dot}"
        );
        let drawn = [("inc", "add"), ("load", "inc")];
        assert_eq!(edges(&dot), named(&drawn));
    });
}

static HOOKS: AtomicU32 = AtomicU32::new(0);
static KEYS: AtomicU32 = AtomicU32::new(0);

fn hook(_: &TaskInfo, _: &RunInfo, _: &State) {
    HOOKS.fetch_add(1, Ordering::Relaxed);
}

fn key(_: &i64) -> Option<String> {
    KEYS.fetch_add(1, Ordering::Relaxed);
    None
}

#[task(
    on_completion = [hook], on_failure = [hook], on_running = [hook],
    cache_key = key, tags = ["visualized"], retries = 3, retry_delay = "1h",
)]
fn busy(_x: i64) -> i64 {
    unreachable!("a task ran")
}

/// A runner that must not start.
#[derive(Debug)]
struct Cluster;

impl TaskRunner for Cluster {
    fn name(&self) -> &'static str {
        "Cluster"
    }

    fn start(
        &self,
        _: flowcore::bridge::Home,
    ) -> RunnerFuture<Result<std::sync::Arc<dyn RunnerSession>>> {
        unreachable!("a runner started")
    }
}

#[flow(task_runner = Cluster, retries = 2, retry_delay = "1h")]
async fn with_everything(rows: i64) -> Result<()> {
    let _all = busy.map(0..rows);
    let one = busy.submit(1);
    assert!(one.state().is_failed());
    if rows > 3 {
        return Err(flowcore::Error::from(std::io::Error::other(
            "too many rows",
        )));
    }
    Ok(())
}

#[test]
fn nothing_around_tasks_is_touched() {
    run(async {
        flowcore::limits().set("tag:visualized", 0);
        with_everything.visualize(3).await.unwrap();
        flowcore::limits().remove("tag:visualized");
        assert_eq!(HOOKS.load(Ordering::Relaxed), 0);
        assert_eq!(KEYS.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn the_flows_own_errors_are_errors() {
    run(async {
        let error = with_everything.visualize(4).await.unwrap_err();
        assert_eq!(error.to_string(), "too many rows");
    });
}

#[flow]
async fn reads_one() -> Result<()> {
    let error = inc.submit(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().contains("`.value_of(&inc, ..)`"),
        "{error}"
    );
    Ok(())
}

#[test]
fn the_error_says_the_cure() {
    run(async {
        reads_one.visualize().await.unwrap();
    });
}

#[flow]
async fn draws_another() -> Result<String> {
    let graph = mapped.visualize(vec![1, 2]).await?;
    Ok(graph.to_dot())
}

#[test]
fn a_drawing_is_no_part_of_the_run_that_makes_it() {
    run(async {
        let report = draws_another().report().await;
        assert!(report.result().unwrap().contains("2 rows"));
        assert_eq!(report.flow_runs().count(), 1);
        assert_eq!(report.runs().count(), 0);
    });
}
