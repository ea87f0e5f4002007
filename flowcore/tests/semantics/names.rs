//! Names of runs, and what code knows of the run it belongs to.

// What a template names is used.
#![deny(unused_variables)]

use flowcore::prelude::*;
use flowcore::{RunInfo, run_info};

use crate::support::{Bad, run};

fn task_name() -> String {
    run_info().unwrap().task_run_name.unwrap()
}

#[task]
fn plain(x: i64) -> String {
    let _ = x;
    task_name()
}

#[task(task_run_name = "n{x}-{text}-{{{x}}}")]
fn named(x: i64, text: &str) -> String {
    task_name()
}

#[task(name = "renamed", task_run_name = "async-{x}")]
async fn named_async(x: i64) -> String {
    tokio::task::yield_now().await;
    task_name()
}

#[task(task_run_name = "bad-{x}")]
fn bad(x: i64) -> Result<i64, Bad> {
    Err(Bad::new(format!("no {x}")))
}

/// `name-` and three hexadecimal digits.
#[track_caller]
fn check_usual(name: &str, task: &str) {
    let digits = name
        .strip_prefix(task)
        .and_then(|rest| rest.strip_prefix('-'));
    let digits = digits.unwrap_or_else(|| panic!("{name} is no name of {task}"));
    assert_eq!(digits.len(), 3, "{name}");
    assert!(
        digits.chars().all(|digit| digit.is_ascii_hexdigit()),
        "{name}"
    );
}

#[flow(flow_run_name = "crawl {site} {{{depth}}}")]
async fn crawl(site: &str, depth: usize) -> Result<String> {
    check_usual(&plain.submit(1).await?, "plain");
    check_usual(&plain(1).await?, "plain");
    for name in plain.map(0..200).await? {
        check_usual(&name, "plain");
    }
    let other = plain.with_options(|o| o.name("other"));
    check_usual(&other.submit(1).await?, "other");
    let template = plain.with_options(|o| o.task_run_name("x is {x}"));
    assert_eq!(template.submit(7).await?, "x is 7");

    assert_eq!(named.submit(1, "a").await?, "n1-a-{1}");
    assert_eq!(named(2, "b").await?, "n2-b-{2}");
    assert_eq!(
        named.map([3, 4], unmapped("c")).await?,
        ["n3-c-{3}", "n4-c-{4}"]
    );
    assert_eq!(named_async.submit(5).await?, "async-5");
    assert_eq!(named_async(6).await?, "async-6");
    assert_eq!(named_async.map([7]).await?, ["async-7"]);

    let error = bad.submit(1).await.unwrap_err();
    assert_eq!(error.run_name(), Some("bad-1"));
    let error = bad(2).await.unwrap_err();
    assert_eq!(error.run_name(), Some("bad-2"));
    let error = bad.map([3]).await.unwrap_err();
    assert_eq!(error.run_name(), Some("bad-3"));
    assert!(error.task_key().unwrap().ends_with("names::bad"));
    Ok(run_info().unwrap().flow_run_name.unwrap())
}

#[flow]
async fn unnamed() -> Option<String> {
    run_info()?.flow_run_name
}

#[test]
fn runs_are_named_by_their_templates() {
    run(async {
        assert_eq!(crawl("a.org", 3).await.unwrap(), "crawl a.org {3}");
        let error_name = failing(3).await.unwrap_err().run_name().map(str::to_owned);
        assert_eq!(error_name.as_deref(), Some("failing-3"));

        let given = unnamed.with_options(|o| o.flow_run_name("today"))()
            .await
            .unwrap();
        assert_eq!(given.as_deref(), Some("today"));
        // An adjective and an animal.
        let usual = unnamed().await.unwrap().unwrap();
        let parts: Vec<_> = usual.split('-').collect();
        assert!(
            parts.len() == 2 && parts.iter().all(|part| part.len() > 1),
            "{usual}"
        );
    });
}

#[flow(flow_run_name = "failing-{x}")]
async fn failing(x: i64) -> Result<i64> {
    Err(Error::msg(format!("no {x}")))
}

#[task]
fn info_of(x: i64) -> InfoText {
    InfoText::of(&run_info().unwrap(), x)
}

#[task]
async fn info_async(x: i64) -> InfoText {
    tokio::task::yield_now().await;
    info_of.func(x)
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct InfoText {
    x: i64,
    flow: Option<String>,
    flow_id: String,
    key: Option<String>,
    task: Option<String>,
    attempt: u32,
    is_cancelled: bool,
}

impl InfoText {
    fn of(info: &RunInfo, x: i64) -> Self {
        Self {
            x,
            flow: info.flow_run_name.clone(),
            flow_id: info.flow_run_id.to_string(),
            key: info.task_key.map(str::to_owned),
            task: info.task_run_name.clone(),
            attempt: info.attempt,
            is_cancelled: info.is_cancelled,
        }
    }

    #[track_caller]
    fn check(&self, flow: &RunInfo, task: &str) {
        assert_eq!(self.flow, flow.flow_run_name);
        assert_eq!(self.flow_id, flow.flow_run_id.to_string());
        assert!(
            self.key
                .as_ref()
                .unwrap()
                .ends_with(&format!("names::{task}"))
        );
        check_usual(self.task.as_ref().unwrap(), task);
        assert_eq!((self.attempt, self.is_cancelled), (1, false));
    }
}

#[flow(flow_run_name = "inner")]
async fn subflow(x: i64) -> Result<Vec<InfoText>> {
    let here = run_info().unwrap();
    assert_eq!(here.flow_run_name.as_deref(), Some("inner"));
    assert_eq!((here.task_key, here.task_run_name.clone()), (None, None));
    let texts = vec![info_of.submit(x).await?, info_async(x).await?];
    texts[0].check(&here, "info_of");
    texts[1].check(&here, "info_async");
    Ok(texts)
}

#[flow(flow_run_name = "outer")]
async fn informed() -> Result<()> {
    let here = run_info().unwrap();
    assert_eq!(here.flow_run_name.as_deref(), Some("outer"));
    assert_eq!(here.task_key, None);
    info_of.submit(1).await?.check(&here, "info_of");
    info_of(1).await?.check(&here, "info_of");
    info_async.submit(1).await?.check(&here, "info_async");
    for (x, text) in (0..).zip(info_of.map(0..500).await?) {
        text.check(&here, "info_of");
        assert_eq!(text.x, x);
    }
    for text in info_async.map(0..50).await? {
        text.check(&here, "info_async");
    }
    let inner = subflow(1).await?;
    assert_ne!(inner[0].flow_id, here.flow_run_id.to_string());
    assert_eq!(run_info().unwrap(), here);

    // Code that runs elsewhere belongs to the run if it says so.
    let elsewhere = tokio::spawn(async { run_info().is_some() });
    assert!(!elsewhere.await?);
    let elsewhere = tokio::spawn(flowcore::in_current_run(async { run_info() }));
    assert_eq!(elsewhere.await?, Some(here));
    Ok(())
}

#[test]
fn code_knows_its_run() {
    assert!(run_info().is_none());
    run(informed()).unwrap();
    // A call outside of flows is a run without a flow's name.
    let text = run(info_async(3)).unwrap();
    assert_eq!(text.flow, None);
    check_usual(text.task.as_ref().unwrap(), "info_async");
}

#[flow]
async fn distinct_ids() -> Result<()> {
    let runs: Vec<_> = (0..100).map(|x| plain.submit(x)).collect();
    let rows = plain.map(0..100);
    let mut ids: Vec<_> = runs.iter().map(|run| run.id().unwrap()).collect();
    ids.extend(rows.iter()?.map(|row| row.id().unwrap()));
    // Asked again it is the same.
    assert_eq!(runs[7].id(), Some(ids[7]));
    assert_eq!(rows.get(7).id(), Some(ids[107]));
    assert_eq!(rows.slice(7..).get(0).id(), Some(ids[107]));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    Ok(())
}

#[test]
fn every_run_has_an_id_of_its_own() {
    run(distinct_ids()).unwrap();
}

#[task]
fn named_later(x: i64) -> i64 {
    x
}

#[flow]
async fn named_later_flow(x: i64) -> Result<i64> {
    let changed = named_later.with_options(|o| o.task_run_name("of-{y}"));
    for error in [
        changed.submit(x).await.unwrap_err(),
        changed.map([x]).await.unwrap_err(),
        changed(x).await.unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "`named_later`: `task_run_name` wants the parameter `y`, but there are `x`; a brace \
             itself is written twice, `{{`"
        );
    }
    Ok(x)
}

#[test]
fn templates_of_changed_options_are_checked() {
    run(async {
        named_later_flow(1).await.unwrap();
        let changed = named_later_flow.with_options(|o| o.flow_run_name("{day}"));
        let error = changed(1).await.unwrap_err().to_string();
        assert!(
            error.contains("`flow_run_name` wants the parameter `day`"),
            "{error}"
        );
        let changed = named_later_flow.with_options(|o| o.flow_run_name("{{day}} {x}"));
        assert_eq!(changed(1).await.unwrap(), 1);
    });
}
