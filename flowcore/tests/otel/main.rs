//! Spans of runs, as a tracer provider gets them.

mod recorder;

use flowcore::prelude::*;
use opentelemetry::trace::{SpanId, Status};
use recorder::{Recorder, SpanData};

#[task]
fn list(n: i64) -> Vec<i64> {
    (0..n).collect()
}

#[task]
fn double(x: i64) -> i64 {
    x * 2
}

#[task(retries = 1, task_run_name = "sum of {xs}")]
fn sum_all(xs: Vec<i64>) -> Result<i64, String> {
    match xs.iter().sum() {
        sum if sum < 100 => Ok(sum),
        sum => Err(format!("{sum} is too much")),
    }
}

#[task]
async fn calls(x: i64) -> Result<i64> {
    inner(x).await
}

#[flow]
async fn inner(x: i64) -> Result<i64> {
    double.submit(x).await
}

#[flow(flow_run_name = "run-{n}")]
async fn outer(n: i64) -> Result<i64> {
    let doubled = double.map(list.submit(n));
    let sum = sum_all.submit(&doubled);
    let called = calls.after(&doubled).submit(1);
    called.await?;
    sum.await
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|known| known.key.as_str() == key)?;
    Some(found.value.to_string())
}

// One test: the tracer provider is the process's.
#[tokio::test]
async fn runs_are_spans_with_parents_and_links() {
    // Nobody listens yet.
    assert_eq!(outer(2).await.unwrap(), 2);

    let recorder = Recorder::default();
    opentelemetry::global::set_tracer_provider(recorder.clone());
    assert_eq!(outer(3).await.unwrap(), 6);

    let spans = recorder.take();
    let find = |name: &str, within: Option<SpanId>| {
        let is_within = |span: &&SpanData| within.is_none_or(|id| span.parent_span_id == id);
        let mut found = spans
            .iter()
            .filter(|span| span.name == name)
            .filter(is_within);
        let span = found
            .next()
            .unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
        assert!(found.next().is_none(), "two {name} in {spans:#?}");
        span
    };
    let id = |span: &SpanData| span.span_context.span_id();
    assert_eq!(spans.len(), 7, "{spans:#?}");
    let flow = find("outer", None);
    assert_eq!(flow.parent_span_id, SpanId::INVALID);
    assert_eq!(attribute(flow, "flow_run.name").as_deref(), Some("run-3"));
    assert_eq!(attribute(flow, "state").as_deref(), Some("Completed"));
    let listed = find("list", Some(id(flow)));
    assert_eq!(listed.links, []);
    assert!(attribute(listed, "task.key").unwrap().ends_with("list"));
    let map = find("double", Some(id(flow)));
    assert_eq!(attribute(map, "rows").as_deref(), Some("3"));
    assert_eq!(map.links, [id(listed)]);
    let sum = find("sum_all", Some(id(flow)));
    assert_eq!(sum.links, [id(map)]);
    assert_eq!(attribute(sum, "attempts").as_deref(), Some("1"));
    let caller = find("calls", Some(id(flow)));
    assert_eq!(caller.links, [id(map)]);
    let subflow = find("inner", Some(id(caller)));
    let doubled = find("double", Some(id(subflow)));
    for span in &spans {
        assert_eq!(span.status, Status::Ok, "{span:#?}");
        assert_eq!(span.span_context.trace_id(), flow.span_context.trace_id());
        assert!(Some(span.start_time) <= span.end_time);
    }
    assert!(doubled.start_time >= subflow.start_time);

    outer(20).await.unwrap_err();
    let spans = recorder.take();
    let sum = spans.iter().find(|span| span.name == "sum_all").unwrap();
    assert!(
        matches!(&sum.status, Status::Error { description } if description.ends_with("380 is too much"))
    );
    assert_eq!(attribute(sum, "attempts").as_deref(), Some("2"));
    let name = attribute(sum, "task_run.name").unwrap();
    assert!(name.starts_with("sum of "), "{name}");
    assert_eq!(sum.events, ["AwaitingRetry", "Retrying"]);
    let flow = spans.iter().find(|span| span.name == "outer").unwrap();
    assert_eq!(attribute(flow, "state").as_deref(), Some("Failed"));

    // A task outside of flows.
    assert_eq!(double(4).await.unwrap(), 8);
    let spans = recorder.take();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["double", "task outside of flows"]);
    assert_eq!(spans[0].parent_span_id, id(&spans[1]));
}
