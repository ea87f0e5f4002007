//! A Rust worker in a process of its own, for tests that kill it.
//!
//! Arguments: the scheduler's address, the worker's name, its memory limit in
//! bytes. It leaves when it is told to terminate.

use flow_tests::dask::Calculator;
use flowdask::worker::Worker;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scheduler, name, memory_limit] = arguments.as_slice() else {
        return Err("three arguments are wanted".into());
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let worker = Worker::builder(scheduler, Calculator::new())
        .name(name)
        .nthreads(1)
        .resource("RUST", 100.0)
        .memory_limit(memory_limit.parse()?)
        .owns_process(true)
        .start()
        .await?;
    worker
        .run_until(async {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}
