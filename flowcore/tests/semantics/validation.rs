//! `validate` of flows: asked once, before anything runs.

use std::sync::atomic::{AtomicU32, Ordering};

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};

use crate::support::{Meter, run};

fn check(days: &u32, tags: &[String], _: &Meter) -> Vec<String> {
    let mut mistakes = Vec::new();
    if *days == 0 {
        mistakes.push("days: must be greater than 0".to_owned());
    }
    for (index, tag) in tags.iter().enumerate().filter(|(_, tag)| tag.is_empty()) {
        mistakes.push(format!("tags.{index}: is `{tag}`"));
    }
    mistakes
}

#[flow(validate = check)]
async fn crawl(days: u32, tags: &[String], runs: Meter) -> u32 {
    let _inside = runs.enter();
    days + tags.len() as u32
}

#[test]
fn all_mistakes_are_told_and_nothing_runs() {
    run(async {
        let runs = Meter::default();
        let tags = ["a".to_owned(), String::new()];
        assert_eq!(crawl(1, &tags[..1], runs.clone()).await.unwrap(), 2);
        let report = crawl(0, &tags, runs.clone()).report().await;
        assert_eq!(runs.total(), 1);
        let text = "Flow run received invalid parameters:\n \
                    - days: must be greater than 0\n - tags.1: is ``";
        assert_eq!(
            report.state().message().unwrap(),
            format!("Validation of flow parameters failed with error: ParameterTypeError: {text}")
        );
        let states: Vec<_> = report.flow_runs().next().unwrap().states().to_vec();
        let states: Vec<_> = states.iter().map(flowcore::StateChange::name).collect();
        assert_eq!(states, [StateName::Pending, StateName::Failed]);
        let error = report.into_result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), text);
    });
}

static ASKED: AtomicU32 = AtomicU32::new(0);

fn count(name: &str) -> Result<(), std::num::ParseIntError> {
    ASKED.fetch_add(1, Ordering::SeqCst);
    name.parse::<u8>().map(drop)
}

/// Fails whenever it is called.
#[flow(validate = count, retries = 2)]
fn numbered(name: String) -> Result<()> {
    Err(Error::msg(name))
}

#[test]
fn it_is_asked_once_for_all_attempts() {
    run(async {
        let error = numbered("7".to_owned()).await.unwrap_err();
        assert_eq!(error.to_string(), "7");
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        // What is not valid is not tried again.
        let error = numbered("seven".to_owned()).await.unwrap_err();
        assert!(error.to_string().contains("- invalid digit"), "{error}");
        assert_eq!(ASKED.load(Ordering::SeqCst), 2);
    });
}

fn panics(_: &u32) -> Result<(), String> {
    panic!("no idea")
}

#[flow(validate = panics)]
async fn unsure(_x: u32) {}

#[test]
fn one_that_panics_says_no() {
    run(async {
        let error = unsure(1).await.unwrap_err();
        assert!(error.to_string().contains("no idea"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    });
}

#[flow]
async fn outer(runs: Meter) -> Result<StateName> {
    let state = crawl(0, &[], runs).state().await;
    Ok(state.name())
}

#[test]
fn a_subflow_with_such_arguments_is_a_failed_run() {
    run(async {
        assert_eq!(outer(Meter::default()).await.unwrap(), StateName::Failed);
    });
}
