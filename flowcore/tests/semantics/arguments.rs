//! Arguments: values that move, are shared, or cannot be had twice.

use std::sync::Arc;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::support::{Bad, Gate, run};

/// Not `Clone`: a second one comes through the codec.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ticket {
    number: i64,
    /// How often it went through the codec is seen here.
    #[serde(skip, default = "copied")]
    is_copy: bool,
}

fn copied() -> bool {
    true
}

/// Neither `Clone` nor serializable.
#[derive(Debug, PartialEq)]
struct Unique(i64);

#[task]
fn issue(number: i64) -> Ticket {
    Ticket {
        number,
        is_copy: false,
    }
}

#[task]
fn punch(ticket: Ticket) -> (i64, bool) {
    (ticket.number, ticket.is_copy)
}

#[task]
fn inspect(ticket: &Ticket) -> (i64, bool) {
    (ticket.number, ticket.is_copy)
}

#[task(local)]
fn unique(number: i64) -> Unique {
    Unique(number)
}

#[task(local)]
fn consume(value: Unique) -> i64 {
    value.0
}

#[task(local)]
fn look(value: &Unique) -> i64 {
    value.0
}

#[task(local)]
fn look_at_all(values: &[Unique]) -> i64 {
    values.iter().map(|value| value.0).sum()
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn fail() -> Result<i64, Bad> {
    Err(Bad::new("no value"))
}

#[flow]
async fn tickets() -> Result<()> {
    // The last reader gets the value itself.
    assert_eq!(punch.submit(issue.submit(1)).await?, (1, false));
    assert_eq!(punch.map(issue.map(0..2)).await?, [(0, false), (1, false)]);
    assert!(!issue.submit(2).await?.is_copy);
    assert!(issue.map(0..3).await?.iter().all(|ticket| !ticket.is_copy));

    // One that others may still read is copied, through the codec.
    let ticket = issue.submit(3);
    assert_eq!(punch.submit(&ticket).await?, (3, true));
    assert_eq!((&ticket).await?.number, 3);
    assert_eq!(punch.submit(ticket).await?, (3, false));

    // Loans are never copied.
    let ticket = issue.submit(4);
    let (one, two) = (inspect.submit(&ticket), inspect.submit(&ticket));
    assert_eq!((one.await?, two.await?), ((4, false), (4, false)));
    assert!(!ticket.result().await?.is_copy);
    assert_eq!(inspect.map([&ticket, &ticket]).await?, [(4, false); 2]);
    assert_eq!(inspect.map(vec![ticket.clone(); 3]).await?, [(4, false); 3]);
    assert_eq!(inspect.submit(Arc::new(issue.func(5))).await?, (5, false));
    assert_eq!(punch.submit(Arc::new(issue.func(5))).await?, (5, false));
    let shared = Arc::new(issue.func(6));
    assert_eq!(punch.submit(&shared).await?, (6, true));
    assert_eq!(inspect.submit(&shared).await?, (6, false));

    // Direct calls move and lend.
    assert_eq!(punch(issue.func(7)).await?, (7, false));
    assert_eq!(inspect(&issue.func(8)).await?, (8, false));

    // A retry might need it again, its last attempt does not.
    let patient = punch.with_options(|o| o.retries(1));
    assert_eq!(patient.submit(issue.submit(9)).await?, (9, true));
    // Each row of one value needs one of its own.
    assert_eq!(
        punch2.map(unmapped(issue.submit(1)), 0..2).await?,
        [(1, 0), (1, 1)]
    );
    Ok(())
}

#[task]
fn punch2(ticket: Ticket, x: i64) -> (i64, i64) {
    (ticket.number, x)
}

#[test]
fn the_last_reader_takes_the_value() {
    run(tickets()).unwrap();
}

#[flow]
async fn uniques() -> Result<()> {
    assert_eq!(consume.submit(unique.submit(1)).await?, 1);
    assert_eq!(consume.map(unique.map(0..3)).await?, [0, 1, 2]);
    assert_eq!(unique.submit(2).await?, Unique(2));
    assert_eq!(consume(Unique(3)).await?, 3);
    assert_eq!(look(&Unique(3)).await?, 3);
    assert_eq!(look_at_all.submit(unique.map(0..4)).await?, 6);
    assert_eq!(
        look_at_all
            .submit(vec![unique.submit(5), unique.submit(6)])
            .await?,
        11
    );

    // Shared by loan as often as one likes.
    let value = unique.submit(4);
    assert_eq!(look.submit(&value).await? + look.submit(&value).await?, 8);
    assert_eq!(
        look.map(vec![&value; 10].into_iter().cloned()).await?,
        [4; 10]
    );
    assert_eq!(value.result().await?.0, 4);

    // Owned, while a handle is still there: no second value can be made.
    let value = unique.submit(4);
    let error = consume.submit(&value).await.unwrap_err();
    let text = error.root().to_string();
    assert!(text.contains("Unique"), "{text}");
    assert!(
        text.contains("derive `Clone`") && text.contains("`&"),
        "{text}"
    );
    assert_eq!(error.root().kind(), ErrorKind::Invalid, "{error:?}");
    // The handle still has it.
    assert_eq!(value.await?, Unique(4));
    Ok(())
}

#[test]
fn a_value_that_cannot_be_copied_has_one_owner() {
    run(uniques()).unwrap();
}

#[flow]
async fn handed_on() -> Result<()> {
    // When a reader has settled it holds nothing any more.
    for x in 0..200 {
        let value = unique.submit(x);
        assert_eq!(look.submit(&value).await?, x);
        assert_eq!(value.await?, Unique(x));
        assert_eq!(look_at_all.submit(unique.map(x..x + 3)).await?, 3 * x + 3);
        let value = unique.submit(x);
        assert_eq!(look.map([&value]).await?, [x]);
        assert_eq!(value.await?, Unique(x));
        let rows = unique.map(0..3);
        assert_eq!(look.map(&rows).await?, [0, 1, 2]);
        assert_eq!(rows.await?, [Unique(0), Unique(1), Unique(2)]);
    }
    Ok(())
}

#[test]
fn a_reader_that_has_settled_holds_nothing() {
    run(handed_on()).unwrap();
}

#[flow]
async fn refused_retries() -> Result<()> {
    let patient = consume.with_options(|o| o.retries(2));
    for error in [
        patient.submit(Unique(1)).await.unwrap_err(),
        patient.submit(unique.submit(1)).await.unwrap_err(),
        patient.map([Unique(1)]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(text.contains("`consume` has retries"), "{text}");
        assert!(
            text.contains("`value`") && text.contains("Unique"),
            "{text}"
        );
        assert!(text.contains("derive `Clone`"), "{text}");
        assert!(error.task_key().unwrap().ends_with("arguments::consume"));
    }
    // A loan can be had again.
    let patient = look.with_options(|o| o.retries(2));
    assert_eq!(patient.submit(Unique(1)).await?, 1);
    Ok(())
}

#[test]
fn retries_that_cannot_be_are_refused_at_once() {
    run(refused_retries()).unwrap();
}

#[task]
fn describe(x: Result<i64>, y: Result<i64>) -> String {
    let text = |value: Result<i64>| match value {
        Ok(value) => value.to_string(),
        Err(error) => format!("{:?}: {}", error.kind(), error.root()),
    };
    format!("{} / {}", text(x), text(y))
}

#[flow]
async fn allowed() -> Result<()> {
    let (good, bad) = (inc.submit(1), fail.submit());
    let stopped = inc.submit(&bad);
    assert_eq!(
        describe
            .submit(allow_failure(&good), allow_failure(&bad))
            .await?,
        "2 / Failed: no value"
    );
    assert_eq!(
        describe
            .submit(allow_failure(bad), allow_failure(stopped))
            .await?,
        "Failed: no value / NotReady: no value"
    );
    Ok(())
}

#[test]
fn a_failure_that_is_allowed_is_an_argument() {
    run(allowed()).unwrap();
}

#[task]
fn pair(both: (i64, String)) -> String {
    format!("{} {}", both.0, both.1)
}

#[task]
fn join(parts: Vec<String>) -> String {
    parts.join(",")
}

#[task]
fn shout(text: &str) -> String {
    text.to_uppercase()
}

#[flow]
async fn kinds(gate: Gate) -> Result<()> {
    assert_eq!(
        pair.submit((inc.submit(1), shout.submit("a"))).await?,
        "2 A"
    );
    assert_eq!(
        join.submit(vec![shout.submit("a"), shout.submit("b")])
            .await?,
        "A,B"
    );
    assert_eq!(join.submit([shout.submit("a")]).await?, "A");
    assert_eq!(join.submit(Vec::<String>::new()).await?, "");
    assert_eq!(join.submit(Vec::<TaskFuture<String>>::new()).await?, "");
    assert_eq!(join.submit(shout.map(["x", "y"])).await?, "X,Y");

    // States: of a run that has ended, by hand, of one that has not ended.
    let run = shout.submit("c");
    assert!(run.wait(None).await);
    assert_eq!(shout.submit(run.state()).await?, "C");
    let made = State::completed("made".to_owned(), "");
    assert_eq!(shout.submit(&made).await?, "MADE");
    let state = fail().state().await;
    let error = inc.submit(&state).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().to_string(), "no value");
    let open = held.submit(&gate);
    let error = inc.submit(open.state()).await.unwrap_err();
    assert!(
        error.root().to_string().contains("pass the future instead"),
        "{error:?}"
    );
    gate.open();
    Ok(())
}

#[task(local)]
async fn held(gate: &Gate) -> i64 {
    gate.passed().await;
    1
}

#[test]
fn arguments_of_every_kind() {
    run(kinds(Gate::default())).unwrap();
}

/// A type whose codec refuses.
#[derive(Debug)]
struct Secret;

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("this stays here"))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this cannot be read"))
    }
}

#[task]
fn keep() -> Secret {
    Secret
}

#[task]
fn reveal(secret: Secret) -> String {
    format!("{secret:?}")
}

#[flow]
async fn secrets() -> Result<()> {
    // In process nothing is coded.
    assert_eq!(reveal.submit(keep.submit()).await?, "Secret");
    let secret = keep.submit();
    let run = reveal.submit(&secret);
    let error = run.result().await.unwrap_err();
    assert_eq!(run.state().name(), StateName::Failed);
    assert!(error.to_string().contains("Secret"), "{error:?}");
    assert!(
        format!("{error:?}").contains("this stays here"),
        "{error:?}"
    );
    assert_eq!(reveal.submit(secret).await?, "Secret");
    Ok(())
}

#[test]
fn a_codec_that_refuses_is_a_failed_run() {
    run(secrets()).unwrap();
}

#[task(local)]
fn lock(list: &Arc<Mutex<Vec<i64>>>, x: i64) -> usize {
    let mut list = list.lock();
    list.push(x);
    list.len()
}

#[flow]
async fn shares(list: Arc<Mutex<Vec<i64>>>) -> Result<()> {
    lock.map(unmapped(&list), 0..100).await.map(drop)
}

#[test]
fn local_tasks_share_what_they_are_given() {
    let list = Arc::default();
    run(shares(Arc::clone(&list))).unwrap();
    let mut found = list.lock().clone();
    found.sort_unstable();
    assert!(found.into_iter().eq(0..100));
}
