//! The control channel: what tasks in another process ask of their flow's,
//! and what goes back. Everything is done once more with every message twice.

use std::sync::{Mutex, OnceLock, PoisonError};

use flow_tests::seam::control::{
    blocks_for_ever, calls_tagged, dies_with_a_slot, gives_up, graph, leaves_work_behind, named,
    named_async, nested, nested_async, never, rated, says, strict, submits_and_cancels,
    submits_local, tagged, tries_in_an_hour, until_cancelled,
};
use flow_tests::seam::tasks::inc;
use flowcore::bridge::Feed;
use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, concurrency, limits};

use super::runner::ChildProcessRunner;
use super::{FEEDS, in_time};

/// The runners that each test goes through.
fn runners() -> Vec<ChildProcessRunner> {
    FEEDS
        .into_iter()
        .flat_map(|feed| {
            [
                ChildProcessRunner::new(feed),
                ChildProcessRunner::new(feed).repeating(),
            ]
        })
        .collect()
}

/// What was given back comes home a moment later.
async fn all_come_back(limit: &str) {
    while limits().active_slots(limit) != Some(0) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[flow]
async fn tags() -> Result<Vec<usize>> {
    let rows = tagged.map(0..12);
    let called = calls_tagged.map(0..6);
    let single = tagged.submit(1);
    let dependent = inc.after(&single).submit(1);
    assert_eq!(dependent.await?, 2);
    let mut met = rows.await?;
    met.extend(called.await?);
    met.push(single.await?);
    Ok(met)
}

#[tokio::test]
async fn limits_of_tags_reach_into_the_child() {
    limits().set("tag:seam-tagged", 1);
    for runner in runners() {
        let flow = tags.with_options(|o| o.task_runner(runner));
        assert_eq!(in_time(flow()).await.unwrap(), [1; 19]);
        in_time(all_come_back("tag:seam-tagged")).await;
    }
}

#[flow]
async fn names(limit: String) -> Result<()> {
    let slots = concurrency(&*limit, 1).await?;
    let sync = named.map(vec![limit.clone(); 4]);
    let waiting = named_async.map(vec![limit.clone(); 4]);
    // Those who wait have lent both slots of the child.
    assert_eq!(inc.map(0..10).await?.len(), 10);
    let given_up = gives_up.submit(&limit).await.unwrap_err();
    assert_eq!(given_up.kind(), ErrorKind::TimedOut);
    drop(slots);
    assert_eq!(sync.await?, [1; 4]);
    assert_eq!(waiting.await?, [1; 4]);
    limits().set_rate(format!("{limit}-rate"), 2, 1000.0)?;
    rated.map(vec![format!("{limit}-rate"); 10]).await?;
    let error = strict.submit("seam-unknown").await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    let error = rated.submit(&limit).await.unwrap_err();
    assert!(error.to_string().contains("cannot limit a rate"), "{error}");
    Ok(())
}

#[tokio::test]
async fn code_in_the_child_takes_slots_of_the_flows_process() {
    for (index, runner) in runners().into_iter().enumerate() {
        let limit = format!("seam-named-{index}");
        limits().set(&limit, 1);
        let flow = names.with_options(|o| o.task_runner(runner));
        in_time(flow(limit.clone())).await.unwrap();
        in_time(all_come_back(&limit)).await;
    }
}

#[flow]
async fn dying(limit: String) -> Result<()> {
    let kind = dies_with_a_slot.submit(&limit).await.unwrap_err().kind();
    assert_eq!(kind, ErrorKind::Crashed);
    Ok(())
}

#[tokio::test]
async fn a_child_that_dies_gives_its_slots_back() {
    limits().set("seam-dying", 1);
    for runner in runners() {
        let flow = dying.with_options(|o| o.task_runner(runner));
        in_time(flow("seam-dying".into())).await.unwrap();
        in_time(all_come_back("seam-dying")).await;
    }
}

async fn running<T>(run: &flowcore::TaskFuture<T>) {
    while run.state().name() != StateName::Running {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[flow]
async fn cancelling(limit: String) -> Result<()> {
    let expected = [
        StateName::Completed,
        StateName::Cancelled,
        StateName::Completed,
    ];
    let rows = until_cancelled.map(0..3);
    running(&rows.get(1)).await;
    rows.get(1).cancel();
    rows.wait(None).await;
    assert_eq!(rows.states(), expected);
    let rows = never.map(0..3);
    running(&rows.get(1)).await;
    rows.get(1).cancel();
    rows.wait(None).await;
    assert_eq!(rows.states(), expected);
    let slots = concurrency(&*limit, 1).await?;
    let waits = blocks_for_ever.submit(&limit);
    running(&waits).await;
    waits.cancel();
    assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::Cancelled);
    drop(slots);
    let retried = tries_in_an_hour.submit();
    while retried.state().name() != StateName::AwaitingRetry {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    retried.cancel();
    assert_eq!(retried.await.unwrap_err().kind(), ErrorKind::Cancelled);
    Ok(())
}

#[tokio::test]
async fn single_rows_are_cancelled_where_they_run() {
    for (index, runner) in runners().into_iter().enumerate() {
        let limit = format!("seam-cancelling-{index}");
        limits().set(&limit, 1);
        let flow = cancelling.with_options(|o| o.task_runner(runner));
        in_time(flow(limit.clone())).await.unwrap();
        in_time(all_come_back(&limit)).await;
    }
}

#[flow]
async fn stopping() -> Result<()> {
    let spinning = until_cancelled.map([1, 1]);
    running(&spinning.get(0)).await;
    Err(flowcore::Error::msg("enough"))
}

#[tokio::test]
async fn a_flow_that_fails_stops_its_code_in_the_child() {
    for runner in runners() {
        let flow = stopping.with_options(|o| o.task_runner(runner));
        let error = in_time(flow()).await.unwrap_err();
        assert_eq!(error.to_string(), "enough");
    }
}

#[flow]
async fn submitting() -> Result<()> {
    // Deeper than the child has slots.
    assert_eq!(nested.submit(12).await?, 12);
    assert_eq!(nested_async.submit(12).await?, 12);
    let graphs = graph.map([1, 4]).await?;
    assert_eq!(graphs[0], [3, 0, 2, 0]);
    assert_eq!(graphs[1], [3, 6, 9, 12, 0, 2, 4, 6, 2, 0]);
    assert_eq!(leaves_work_behind.submit(5).await?, 5);
    assert_eq!(submits_and_cancels.submit().await?, "false Cancelled");
    let refused = submits_local.submit().await?;
    assert!(refused.contains("`local_sum` is local"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn tasks_in_the_child_submit_tasks() {
    for runner in runners() {
        let flow = submitting.with_options(|o| o.task_runner(runner.clone()));
        in_time(flow()).await.unwrap();
        // 13 runs each for the nested ones; the graphs, of n = 1 and n = 4,
        // have themselves, 4n rows and 5 single runs, of which one never goes
        // out; the last four have 1 + 2, 1 + 1 and 1.
        let descriptors = &runner.counts().descriptors;
        let count = descriptors.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(count, 13 + 13 + 2 + 4 * 5 + 2 * 4 + 3 + 2 + 1);
    }
}

/// The lines that were written at home: whose, and what.
static LINES: OnceLock<Mutex<Vec<(String, String)>>> = OnceLock::new();

fn lines() -> &'static Mutex<Vec<(String, String)>> {
    LINES.get_or_init(Mutex::default)
}

struct Listening;

impl tracing::Subscriber for Listening {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        #[derive(Default)]
        struct Fields(String, String);
        impl tracing::field::Visit for Fields {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                match field.name() {
                    "who" => self.0 = format!("{value:?}").replace('"', ""),
                    "message" => self.1 = format!("{value:?}"),
                    _ => {}
                }
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut lines = lines().lock().unwrap_or_else(PoisonError::into_inner);
        lines.push((fields.0, fields.1));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[flow]
async fn talking(text: String) -> Result<i64> {
    let renamed = says.with_options(|o| o.task_run_name("says {text}"));
    renamed.submit(text).await
}

#[tokio::test]
async fn lines_of_the_child_stand_under_their_run_at_home() {
    tracing::subscriber::set_global_default(Listening).unwrap();
    let flow = talking.with_options(|o| o.task_runner(ChildProcessRunner::new(Feed::Ready)));
    assert_eq!(in_time(flow("hello".into())).await.unwrap(), 2);
    let lines = lines().lock().unwrap_or_else(PoisonError::into_inner);
    let said: Vec<_> = lines
        .iter()
        .filter(|(_, text)| text.starts_with("hello"))
        .collect();
    let expected = (
        "Task run 'says hello'".to_owned(),
        "hello rows=3".to_owned(),
    );
    assert_eq!(said, [&expected]);
    // The run that it called, in the child, says its end here too, and once.
    let called = lines.iter().filter(|(who, text)| {
        who.starts_with("Task run 'inc-") && text == "Finished in state Completed()"
    });
    assert!(called.count() >= 1, "{lines:?}");
}
