//! Tasks that return a state: it becomes the run's.

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName};

#[task]
fn by_hand(x: i64) -> State<i64> {
    match x {
        0 => State::failed("zero"),
        1 => State::cancelled("one"),
        _ => State::completed(x, "more"),
    }
}

#[task(retries = 2)]
fn never() -> State {
    State::failed("not yet")
}

#[task]
fn half(x: i64) -> Result<i64, String> {
    if x % 2 == 0 {
        Ok(x / 2)
    } else {
        Err(format!("{x} is odd"))
    }
}

#[task(local)]
async fn passed_on(x: i64) -> State<i64> {
    half(x).state().await
}

#[flow]
async fn states() -> Result<()> {
    assert_eq!(by_hand.submit(5).await?, 5);

    let zero = by_hand.submit(0);
    let error = zero.clone().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Failed, "zero".to_owned())
    );
    assert_eq!(zero.state().to_string(), r#"Failed("zero")"#);

    let one = by_hand.submit(1);
    assert_eq!(one.clone().await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(one.state().name(), StateName::Cancelled);

    let tried = never.submit();
    assert_eq!(tried.clone().await.unwrap_err().to_string(), "not yet");
    assert_eq!(tried.run_count(), 3);

    assert_eq!(passed_on(8).await?, 4);
    let odd = passed_on.submit(3);
    assert!(odd.clone().await.is_err());
    assert_eq!(odd.state().name(), StateName::Failed);
    Ok(())
}

#[tokio::test]
async fn a_returned_state_is_the_runs() {
    states().await.unwrap();
}
