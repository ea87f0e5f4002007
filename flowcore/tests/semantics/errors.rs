//! Errors of every type, their chains, and very long ones.

use std::error::Error as StdError;
use std::fmt;
use std::rc::Rc;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};

use crate::support::{Bad, run};

#[task]
fn chained() -> Result<i64, Bad> {
    Err(Bad {
        text: "cannot read the table".into(),
        source: Some(std::io::Error::other("disk is gone")),
    })
}

#[task]
fn text_only(text: &str) -> Result<i64, String> {
    Err(text.to_owned())
}

#[task]
fn static_text() -> Result<i64, &'static str> {
    Err("as it is")
}

#[task]
fn boxed() -> Result<i64, Box<dyn StdError>> {
    Err(Bad::new("in a box").into())
}

#[task]
fn boxed_and_sendable() -> Result<i64, Box<dyn StdError + Send + Sync>> {
    chained.func()?;
    Ok(1)
}

/// Displays, holds an error, and is none, as `anyhow::Error`.
struct Anyhow(Box<dyn StdError + Send + Sync>);

impl fmt::Display for Anyhow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Anyhow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Anyhow({})", self.0)
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Anyhow {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

#[task]
fn anyhow_like(x: &str) -> Result<i64, Anyhow> {
    Ok(x.parse::<i64>()?)
}

/// Cannot leave its thread.
#[derive(Debug)]
struct Bound(Rc<str>, std::io::Error);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Bound {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.1)
    }
}

#[task]
fn bound() -> Result<i64, Bound> {
    Err(Bound(
        "bound to a thread".into(),
        std::io::Error::other("by a count"),
    ))
}

#[task]
fn ours(x: &str) -> Result<i64> {
    let value: i64 = x.parse()?;
    if value < 0 {
        return Err(Error::msg("below zero"));
    }
    Ok(value)
}

#[task]
async fn passes_on() -> Result<i64> {
    chained.submit().await
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[flow]
async fn types() -> Result<()> {
    let error = chained.submit().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the table");
    assert_eq!(
        error.downcast_ref::<Bad>().unwrap().text,
        "cannot read the table"
    );
    assert_eq!(error.source().unwrap().to_string(), "disk is gone");
    assert!(error.type_name().unwrap().ends_with("Bad"));
    let shown = format!("{error:?}");
    assert!(
        shown.starts_with("cannot read the table\n  in run 'chained-"),
        "{shown}"
    );
    assert!(shown.contains(" of `"), "{shown}");
    assert!(shown.contains("\n  caused by: disk is gone"), "{shown}");
    let standard = error.clone().into_std();
    assert_eq!(standard.source().unwrap().to_string(), "disk is gone");

    // Without a source there is nothing below.
    let error = text_only.submit("just text").await.unwrap_err();
    assert_eq!(error.to_string(), "just text");
    assert!(error.source().is_none());
    assert!(!format!("{error:?}").contains("caused by"), "{error:?}");
    assert!(error.downcast_ref::<Bad>().is_none());
    let state = text_only("just text").state().await;
    assert_eq!(
        state.message(),
        Some("Task run encountered an exception Error: just text")
    );
    assert_eq!(
        static_text.submit().await.unwrap_err().to_string(),
        "as it is"
    );

    let error = boxed.submit().await.unwrap_err();
    assert_eq!(error.to_string(), "in a box");
    let error = boxed_and_sendable.submit().await.unwrap_err();
    assert!(error.downcast_ref::<Bad>().is_some());
    assert!(format!("{error:?}").contains("caused by: disk is gone"));

    let error = anyhow_like.submit("x").await.unwrap_err();
    assert_eq!(error.to_string(), "invalid digit found in string");
    let error = anyhow_like("x").await.unwrap_err();
    assert_eq!(error.to_string(), "invalid digit found in string");

    let error = bound.submit().await.unwrap_err();
    assert_eq!(error.to_string(), "bound to a thread");

    let error = ours.submit("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
    assert!(error.run_name().unwrap().starts_with("ours-"));
    let error = ours.submit("-1").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Failed, "below zero")
    );

    // The error of another run keeps its place.
    let error = passes_on.submit().await.unwrap_err();
    assert!(error.run_name().unwrap().starts_with("chained-"));
    assert!(error.downcast_ref::<Bad>().is_some());
    Ok(())
}

#[test]
fn errors_of_every_type() {
    run(types()).unwrap();
}

#[flow]
async fn first_causes() -> Result<()> {
    let first = chained.submit();
    let mut last = inc.submit(&first);
    for _ in 0..5 {
        last = inc.submit(last);
    }
    let error = last.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.help(), Some("docs/errors/not-ready.md"));
    let name = first.await.unwrap_err().run_name().unwrap().to_owned();
    assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
    assert_eq!(error.root().run_name(), Some(name.as_str()));
    assert_eq!(error.root().kind(), ErrorKind::Failed);
    assert!(error.downcast_ref::<Bad>().is_some());
    let shown = format!("{error:?}");
    for part in [
        "caused by: cannot read the table",
        "caused by: disk is gone",
        "help: docs/errors/not-ready.md",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    // Of an error that began here, the root is itself.
    let alone = chained.submit().await.unwrap_err();
    assert_eq!(alone.root().to_string(), alone.to_string());
    Ok(())
}

#[test]
fn dependents_name_the_first_cause() {
    run(first_causes()).unwrap();
}

#[flow]
async fn gives_it_on() -> Result<i64> {
    let end = inc.submit(chained.submit());
    end.await
}

#[test]
fn a_flow_that_passes_on_an_error_keeps_it() {
    run(async {
        let error = gives_it_on().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotReady);
        assert_eq!(error.root().to_string(), "cannot read the table");
        assert!(error.downcast_ref::<Bad>().is_some());
        let state = gives_it_on().state().await;
        assert_eq!(state.name(), StateName::Failed);
    });
}

const LONG: usize = 10 << 20;

#[task(retries = 1)]
fn verbose() -> Result<i64, String> {
    Err("ä".repeat(LONG / 2))
}

#[task]
fn panics_verbosely() -> i64 {
    panic!("{}", "x".repeat(LONG))
}

#[flow]
async fn long_texts() -> Result<()> {
    let run = verbose.submit();
    let error = run.result().await.unwrap_err();
    assert_eq!(error.to_string().len(), LONG);
    let state = run.state();
    assert!(state.message().unwrap().len() > LONG);
    assert!(state.to_string().len() < 10_000);
    assert!(state.to_string().contains("more bytes"));

    // Ten thousand dependents do not make ten thousand copies of it.
    let rows = inc.map(vec![&run; 10_000].into_iter().cloned());
    let singles: Vec<_> = (0..1000).map(|_| inc.submit(&run)).collect();
    assert!(rows.wait(None).await);
    let row = rows.get(9_999).await.unwrap_err();
    assert!(row.to_string().len() < 1000);
    assert_eq!(row.root().to_string().len(), LONG);
    for single in singles {
        let error = single.await.unwrap_err();
        assert!(error.to_string().len() < 1000);
    }

    let error = panics_verbosely.submit().await.unwrap_err();
    assert!(error.to_string().len() >= LONG);
    Ok(())
}

#[test]
fn ten_megabytes_of_error_are_kept_whole() {
    run(long_texts()).unwrap();
}
