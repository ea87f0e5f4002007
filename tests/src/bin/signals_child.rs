//! The child of the test of signals: a program that does what its argument
//! says, prints `ready`, and waits for its end.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flowcore::bridge::{Home, RunReference, RunnerFuture, RunnerSession, TaskRunner, Work};
use flowcore::prelude::*;

fn ready() {
    println!("ready");
    std::io::stdout().flush().expect("the test reads");
}

/// Tells when it is dropped.
struct Held(&'static str);

impl Drop for Held {
    fn drop(&mut self) {
        println!("dropped {}", self.0);
    }
}

#[task(local, task_run_name = "sleeps")]
async fn sleeps() {
    let _held = Held("what the task holds");
    ready();
    std::future::pending::<()>().await;
}

#[task(task_run_name = "waits")]
fn waits(_: ()) {}

#[flow(flow_run_name = "sleeper")]
async fn sleeper() -> Result<()> {
    let _held = Held("what the flow holds");
    let sleeping = sleeps.submit();
    waits.submit(sleeping).await
}

#[flow(flow_run_name = "outer")]
async fn outer() -> Result<()> {
    sleeper().await
}

#[flow(flow_run_name = "starter")]
async fn starter() -> Result<()> {
    drop(sleeper.start());
    drop(flowcore::spawn(async {
        let _held = Held("what spawned code holds");
        std::future::pending::<()>().await;
    }));
    Ok(())
}

fn spin() {
    ready();
    loop {
        std::thread::yield_now();
    }
}

#[task(task_run_name = "spins")]
fn spins() {
    spin();
}

#[flow(flow_run_name = "spinner")]
async fn spinner() -> Result<()> {
    spins.submit().await
}

#[flow(flow_run_name = "spinner")]
fn spinner_that_blocks() -> Result<()> {
    spins.submit().block()
}

#[flow(flow_run_name = "spinning")]
fn spinning() {
    spin();
}

#[flow(flow_run_name = "borrowing")]
fn spinning_with_loans(_: &str) {
    spin();
}

#[flow(flow_run_name = "hogging")]
async fn spinning_in_async_code() {
    spin();
}

#[task(task_run_name = "flaky", retries = 1, retry_delay = "1h")]
fn flaky() -> Result<(), String> {
    Err("try again".into())
}

#[flow(flow_run_name = "retrier")]
async fn retrier() -> Result<()> {
    let run = flaky.submit();
    while run.state().name() != flowcore::StateName::AwaitingRetry {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ready();
    run.await
}

#[task]
fn slow(x: u64) -> u64 {
    std::thread::sleep(Duration::from_micros(100));
    x
}

#[flow(flow_run_name = "mapper")]
async fn mapper() -> Result<u64> {
    let rows = slow.map(0..1_000_000);
    rows.get(0).await?;
    ready();
    Ok(rows.await?.len() as u64)
}

/// Its session never closes: a flow that is over and has much to report.
#[derive(Debug)]
struct NeverCloses;

impl TaskRunner for NeverCloses {
    fn name(&self) -> &'static str {
        "never-closes"
    }

    fn start(&self, _home: Home) -> RunnerFuture<Result<Arc<dyn RunnerSession>>> {
        Box::pin(async { Ok(Arc::new(OpenSession) as Arc<dyn RunnerSession>) })
    }
}

struct OpenSession;

impl RunnerSession for OpenSession {
    fn submit(&self, _work: Work) {}

    fn cancel(&self, _run: RunReference) {}

    fn fetch(&self, _run: RunReference) -> RunnerFuture<Result<flowcore::bridge::EncodedValue>> {
        Box::pin(std::future::pending())
    }

    fn length(&self, _run: RunReference) -> RunnerFuture<Result<u32>> {
        Box::pin(std::future::pending())
    }

    fn close(&self) -> RunnerFuture<()> {
        Box::pin(async {
            println!("closing");
            std::future::pending::<()>().await;
        })
    }
}

#[flow(flow_run_name = "reporter", task_runner = NeverCloses)]
async fn reporter() -> Result<()> {
    ready();
    std::future::pending().await
}

async fn run(scenario: &str) -> Result<()> {
    let _held = Held("what main holds");
    match scenario {
        "sleeper" => sleeper().await?,
        "outer" => outer().await?,
        "starter" => starter().await?,
        "spinner" => spinner().await?,
        "spinner-that-blocks" => spinner_that_blocks().await?,
        "spinning" => spinning().await?,
        "spinning-with-loans" => spinning_with_loans("loan").await?,
        "spinning-in-async-code" => spinning_in_async_code().await?,
        "retrier" => retrier().await?,
        "mapper" => drop(mapper().await?),
        "reporter" => reporter().await?,
        "task" => sleeps().await?,
        "sync-task" => spins().await?,
        "nothing" => {
            ready();
            std::future::pending::<()>().await;
        }
        other => panic!("no scenario is called `{other}`"),
    }
    Ok(())
}

mod macro_main {
    #[flowcore::main]
    pub(crate) async fn main() {
        let scenario = std::env::args().nth(2).unwrap_or_default();
        // What comes after the end of a flow is not reached.
        println!("returned {:?}", super::run(&scenario).await.is_ok());
    }
}

mod sync_main {
    #[flowcore::main]
    pub(crate) fn main() {
        println!("returned {:?}", super::sleeper().block().is_ok());
    }
}

mod own_signals {
    use std::time::Duration;

    use flowcore::prelude::*;

    #[flowcore::main(signals = false)]
    pub(crate) async fn main() -> Result<()> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        // The signal is taken before the flow says that it is at work.
        let early = tokio::time::timeout(Duration::ZERO, &mut interrupted).await;
        assert!(early.is_err(), "nobody has sent one yet");
        let mut flow = super::sleeper.start();
        tokio::select! {
            end = &mut flow => end?,
            received = interrupted => {
                received.expect("signals can be received");
                flow.cancel();
            }
        }
        let state = flow.await.unwrap_err().kind();
        println!("returned {state:?}");
        Ok(())
    }
}

fn main() {
    let main = std::env::args().nth(1).unwrap_or_default();
    let scenario = std::env::args().nth(2).unwrap_or_default();
    match main.as_str() {
        "macro" => macro_main::main(),
        "sync-macro" => sync_main::main(),
        "own-signals" => own_signals::main().expect("the flow is cancelled"),
        "init" => {
            flowcore::init();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let end = runtime.block_on(run(&scenario));
            println!("returned {:?}", end.is_ok());
        }
        "library" => {
            let _ = flowcore::Call::block(sleeper());
        }
        other => panic!("no main is called `{other}`"),
    }
}
