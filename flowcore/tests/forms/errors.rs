//! `Result<T, E>` for every error that displays.

use std::error::Error as StdError;
use std::fmt;
use std::num::ParseIntError;

use flowcore::prelude::*;
use flowcore::{Error, ErrorKind};

#[derive(Debug, PartialEq)]
struct Missing {
    column: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no column `{}`", self.column)
    }
}

impl StdError for Missing {}

/// Like `anyhow::Error`: no standard error, but it becomes one.
struct Anyhow(Box<dyn StdError + Send + Sync>);

impl<E: StdError + Send + Sync + 'static> From<E> for Anyhow {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Anyhow> for Box<dyn StdError + Send + Sync> {
    fn from(error: Anyhow) -> Self {
        error.0
    }
}

/// Displays and does nothing else; not even `Debug`.
struct Told(u8);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "told {}", self.0)
    }
}

/// Cannot leave its thread.
#[derive(Debug)]
struct Unsendable(std::rc::Rc<str>);

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Unsendable {}

#[task]
fn parse(text: String) -> Result<i64, ParseIntError> {
    text.parse()
}

#[task]
async fn own() -> Result<i64, Missing> {
    Err(Missing { column: "x" })
}

#[task]
fn default_error(text: &str) -> Result<i64> {
    Ok(text.parse::<i64>()?)
}

#[task]
fn qualified() -> std::io::Result<()> {
    Err(std::io::Error::other("disk is gone"))
}

#[task]
fn formatting() -> fmt::Result {
    Err(fmt::Error)
}

#[task]
async fn anyhow_like(text: String) -> Result<i64, Anyhow> {
    Ok(text.parse::<i64>()?)
}

#[task]
fn boxed(text: String) -> Result<i64, Box<dyn StdError + Send + Sync>> {
    Ok(text.parse::<i64>()?)
}

#[task]
fn boxed_here(text: String) -> Result<i64, Box<dyn StdError>> {
    Ok(text.parse::<i64>()?)
}

#[task]
fn string() -> Result<i64, String> {
    Err("plain text".into())
}

#[task]
fn literal() -> Result<i64, &'static str> {
    Err("literal")
}

#[task]
fn told() -> Result<i64, Told> {
    Err(Told(7))
}

#[task]
fn unsendable() -> Result<i64, Unsendable> {
    Err(Unsendable("stuck".into()))
}

fn failed(error: &Error, text: &str) {
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn standard_errors_keep_their_type() {
    let error = parse("five".into()).await.unwrap_err();
    failed(&error, "invalid digit found in string");
    assert!(error.downcast_ref::<ParseIntError>().is_some());
    assert!(error.type_name().unwrap().ends_with("ParseIntError"));

    let error = own().await.unwrap_err();
    let missing = error.downcast_ref::<Missing>();
    assert_eq!(missing, Some(&Missing { column: "x" }));

    let error = qualified().await.unwrap_err();
    assert!(error.downcast_ref::<std::io::Error>().is_some());
    failed(&formatting().await.unwrap_err(), &fmt::Error.to_string());
}

#[tokio::test]
async fn the_error_type_may_be_the_crates_own() {
    assert_eq!(default_error("5").await.unwrap(), 5);
    let error = default_error("five").await.unwrap_err();
    failed(&error, "invalid digit found in string");
    assert!(error.downcast_ref::<ParseIntError>().is_some());
}

#[tokio::test]
async fn boxed_and_wrapped_errors_keep_what_is_in_them() {
    let error = anyhow_like("five".into()).await.unwrap_err();
    failed(&error, "invalid digit found in string");
    assert!(error.downcast_ref::<ParseIntError>().is_some());
    let error = boxed("five".into()).await.unwrap_err();
    assert!(error.downcast_ref::<ParseIntError>().is_some());
    let error = boxed_here("five".into()).await.unwrap_err();
    failed(&error, "invalid digit found in string");
}

#[tokio::test]
async fn whatever_displays_is_an_error() {
    failed(&string().await.unwrap_err(), "plain text");
    failed(&literal().await.unwrap_err(), "literal");
    failed(&told().await.unwrap_err(), "told 7");
    failed(&unsendable().await.unwrap_err(), "stuck");
}

#[flow]
async fn flow_with_own_error(text: String) -> Result<i64, Missing> {
    default_error(&text)
        .await
        .map_err(|_| Missing { column: "y" })
}

#[flow]
async fn dependents(text: String) -> Result<i64> {
    let number = parse.submit(text);
    let list = vec![number.clone(), number];
    crate::functions::sum.submit(list).await
}

#[tokio::test]
async fn flows_fail_as_tasks_do() {
    assert_eq!(flow_with_own_error("5".into()).await.unwrap(), 5);
    let error = flow_with_own_error("five".into()).await.unwrap_err();
    assert!(error.downcast_ref::<Missing>().is_some());

    assert_eq!(dependents("2".into()).await.unwrap(), 4);
    let error = dependents("two".into()).await.unwrap_err();
    assert!(error.root().downcast_ref::<ParseIntError>().is_some());
}

#[tokio::test]
async fn a_panic_is_a_failed_run() {
    #[task]
    fn out_of_bounds(values: Vec<i64>) -> i64 {
        values[3]
    }

    let error = out_of_bounds(vec![1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert!(error.to_string().contains("index out of bounds"), "{error}");
}
