//! Call, `submit`, `map`, `func`, `after`; subflows; flows that return runs.

use std::sync::Mutex;

use flowcore::prelude::*;
use flowcore::{ErrorKind, StateName, run_info};

#[task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[task]
async fn shout(text: &str) -> String {
    text.to_uppercase()
}

#[task]
fn fail(x: i64) -> Result<i64, String> {
    Err(format!("bad {x}"))
}

#[test]
fn func_is_the_plain_function() {
    assert_eq!(add.func(1, 2), 3);
    assert_eq!(fail.func(1), Err("bad 1".to_owned()));
}

#[tokio::test]
async fn func_of_an_async_function_is_async() {
    assert_eq!(shout.func("a").await, "A");
    assert_eq!(
        sums.func(vec![1]).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[tokio::test]
async fn calls_are_lazy_and_give_states() {
    let call = fail(1);
    assert!(call.state().await.is_failed());
    let state = add(1, 2).state().await;
    assert!(state.is_completed());
    assert_eq!(*state.result().unwrap(), 3);
    assert_eq!(add(1, 2).block().unwrap(), 3);
}

#[flow]
async fn sums(values: Vec<i64>) -> Result<i64> {
    let mut sum = add.submit(0, 0);
    for value in values {
        sum = add.submit(&sum, value);
    }
    sum.await
}

#[flow]
async fn subflows(values: Vec<i64>) -> Result<i64> {
    let first = sums(values.clone()).await?;
    let second = sums(values).await?;
    add(first, second).await
}

#[tokio::test]
async fn flows_call_flows() {
    assert_eq!(subflows(vec![1, 2, 3]).await.unwrap(), 12);
}

#[tokio::test]
async fn submit_outside_a_flow_names_the_cure() {
    let error = add.submit(1, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .contains("call the task itself: `add(..)`"),
        "{error}"
    );
    let error = add.map([1], [2]).await.unwrap_err();
    assert!(error.to_string().contains("`#[flow]`"), "{error}");
}

static ORDER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

#[task]
fn note(step: u8, milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    ORDER.lock().unwrap().push(step);
}

#[flow]
async fn ordered() -> Result<()> {
    let first = note.submit(1, 20);
    let second = note.after(&first).submit(2, 10);
    let rows = note.after((&first, second)).map([3, 3], unmapped(5));
    let many = vec![note.after(&rows).submit(4, 3)];
    note.after(&many).after(rows).submit(5, 0).await
}

#[tokio::test]
async fn after_is_order_without_data() {
    ordered().await.unwrap();
    assert_eq!(*ORDER.lock().unwrap(), [1, 2, 3, 3, 4, 5]);
}

#[flow]
async fn after_a_failure() -> Result<i64> {
    let failed = fail.submit(1);
    add.after(&failed).submit(1, 2).await
}

#[tokio::test]
async fn after_a_failure_nothing_runs() {
    let error = after_a_failure().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(error.root().to_string(), "bad 1");
}

#[flow]
async fn returns_a_future() -> TaskFuture<i64> {
    add.submit(1, 2)
}

#[flow]
async fn returns_a_map() -> Mapped<i64> {
    fail.map([1, 2])
}

#[flow]
async fn returns_states() -> (State<i64>, TaskFuture<i64>) {
    (add(1, 2).state().await, add.submit(3, 4))
}

#[tokio::test]
async fn flows_may_return_runs() {
    assert_eq!(returns_a_future().await.unwrap().await.unwrap(), 3);
    assert_eq!(returns_a_map().state().await.name(), StateName::Failed);
    let (state, future) = returns_states().await.unwrap();
    assert_eq!(*state.result().unwrap(), 3);
    assert_eq!(future.await.unwrap(), 7);
}

#[flow]
async fn names_of_runs() -> Result<(String, String)> {
    #[task]
    fn inside() -> Option<String> {
        run_info()?.flow_run_name
    }
    let outside = run_info().unwrap().flow_run_name.unwrap();
    Ok((outside, inside.submit().await?.unwrap()))
}

#[tokio::test]
async fn code_knows_its_run() {
    let (flow, task) = names_of_runs().await.unwrap();
    assert_eq!(flow, task);
    assert!(run_info().is_none());
}

#[tokio::test]
async fn tasks_are_values_too() {
    fn twice(
        f: impl Fn(i64, i64) -> flowcore::Call<'static, i64>,
    ) -> [flowcore::Call<'static, i64>; 2] {
        [f(1, 2), f(3, 4)]
    }
    let [first, second] = twice(&*add);
    assert_eq!(first.await.unwrap() + second.await.unwrap(), 10);
    assert_eq!(format!("{add:?}"), "AddTask");
    let by_reference = &add;
    assert_eq!(by_reference(1, 1).await.unwrap(), 2);
    let copy = add.with_options(|o| o);
    assert_eq!(copy(2, 2).await.unwrap(), 4);
}

#[task]
fn submits(x: i64) -> Result<i64> {
    add(x, 1).block()
}

#[tokio::test]
async fn tasks_call_tasks() {
    assert_eq!(submits(1).await.unwrap(), 2);
}
