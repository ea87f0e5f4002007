//! Large values from one worker to another, beside a plain copy over TCP.
//!
//! Both go from process to process over the loopback interface, into memory that
//! was not used before. The time of a transfer is what the taking worker reports to
//! the scheduler; that from the submission of the task that needs the value to its
//! end stands beside it.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use clap::Parser;
use flow_benches::statistics::median;
use flow_benches::table::Table;
use flow_benches::yardsticks::tcp_copy;
use flow_benches::{child, dask};
use flow_tests::dask::{Calculator, RustWorker, Scheduler};
use flowdask::client::{KeyState, SubmitOptions};
use flowdask::wire::Key;
use flowdask::{Client, TaskNode, Worker};
use serde::{Deserialize, Serialize};

/// Measures values between two workers beside a plain copy over TCP.
#[derive(Debug, Parser)]
struct Options {
    /// The sizes of the values, in millions of bytes
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    megabytes: Vec<usize>,

    /// How often each is measured, in turn; the median counts
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,

    /// Passed by `cargo bench`; without effect
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a child does beside the parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Case {
    /// A worker with this name, at this scheduler.
    Worker(String, String),
    /// The giving side of plain copies of so many bytes.
    Giver(usize),
}

fn main() -> ExitCode {
    child::main(answer, || {
        dask::runtime()?.block_on(compare(&Options::parse()))
    })
}

/// The child's part.
fn answer(case: Case) -> Result<(), Box<dyn Error>> {
    match case {
        Case::Giver(bytes) => Ok(tcp_copy::give(bytes, |port| println!("{port}"))?),
        Case::Worker(scheduler, name) => dask::runtime()?.block_on(async {
            let worker = Worker::builder(scheduler, Calculator::new());
            let worker = worker.name(name).nthreads(1).start().await?;
            Ok(worker.closed().await?)
        }),
    }
}

async fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let scheduler = Scheduler::start()?;
    let worker = |name: &str| -> Result<RustWorker, Box<dyn Error>> {
        let case = Case::Worker(scheduler.address().to_owned(), name.to_owned());
        Ok(RustWorker::spawn(&mut child::command(&case)?)?)
    };
    let _workers = [worker(GIVER)?, worker(TAKER)?];
    let client = Client::connect(scheduler.address()).await?;
    while client.ncores().await?.len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    // From the first question on the scheduler remembers what tasks took.
    client.get_task_stream().await?;
    let columns = [
        "plain copy, MB/s",
        "transfer, MB/s",
        "ratio",
        "with scheduling, MB/s",
        "ratio",
    ];
    let mut table = Table::new("size", columns);
    for &megabytes in &options.megabytes {
        let bytes = megabytes * 1_000_000;
        let mut yardstick = Yardstick::start(bytes)?;
        let (mut plain, mut transfers, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=options.times {
            let copied = yardstick.seconds(bytes)?;
            let taken = transfer(&client, bytes, round).await?;
            // The first time links are made and memory is found.
            if round > 0 {
                plain.push(copied);
                transfers.push(taken.transfer);
                tasks.push(taken.task);
            }
        }
        let speed = |seconds: &[f64]| bytes as f64 / median(seconds) / 1e6;
        let (plain, transfer, task) = (speed(&plain), speed(&transfers), speed(&tasks));
        table.row(
            format!("{megabytes} MB"),
            [
                format!("{plain:.0}"),
                format!("{transfer:.0}"),
                format!("{:.2}", transfer / plain),
                format!("{task:.0}"),
                format!("{:.2}", task / plain),
            ],
        );
    }
    client.close().await;
    println!(
        "Values between two workers, medians of {}.\n\n{table}",
        options.times
    );
    Ok(())
}

const GIVER: &str = "giver";
const TAKER: &str = "taker";

/// How long a value took, in seconds.
struct Taken {
    transfer: f64,
    task: f64,
}

/// A value is made by one worker and read by the other.
async fn transfer(client: &Client, bytes: usize, round: u32) -> Result<Taken, Box<dyn Error>> {
    let value = Key::from(format!("value-{bytes}-{round}"));
    let length = Key::from(format!("length-{bytes}-{round}"));
    let task = |key: &Key, payload: String, dependencies| TaskNode {
        key: key.clone(),
        payload: payload.into(),
        dependencies,
    };
    let run = async |node: TaskNode, worker| {
        let keys = [node.key.clone()];
        let options = SubmitOptions::default().workers([worker]);
        let future = client.submit_graph(vec![node], &keys, &options)?.remove(0);
        match future.wait().await {
            KeyState::Memory => Ok(future),
            other => Err(Box::<dyn Error>::from(format!("{:?}: {other:?}", keys[0]))),
        }
    };
    let _value = run(task(&value, format!("bytes {bytes}"), vec![]), GIVER).await?;
    let start = Instant::now();
    let _length = run(task(&length, "length 0".to_owned(), vec![value]), TAKER).await?;
    let taken = start.elapsed().as_secs_f64();

    let records = client.get_task_stream().await?;
    let record = records
        .into_iter()
        .rev()
        .find(|record| record.key == length);
    let mut startstops = record.into_iter().flat_map(|record| record.startstops);
    let transfer = startstops.find(|one| one.action == "transfer");
    let transfer = transfer.ok_or("the taker reported no transfer")?;
    Ok(Taken {
        transfer: transfer.stop - transfer.start,
        task: taken,
    })
}

/// The plain copy: its other side is a child, which ends when nobody asks any more.
struct Yardstick {
    giver: TcpStream,
    child: std::process::Child,
}

impl Yardstick {
    fn start(bytes: usize) -> Result<Self, Box<dyn Error>> {
        let mut child = child::command(&Case::Giver(bytes))?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut port = String::new();
        let stdout = child.stdout.take().ok_or("a child without output")?;
        BufReader::new(stdout).read_line(&mut port)?;
        let giver = TcpStream::connect(("127.0.0.1", port.trim().parse()?))?;
        Ok(Self { giver, child })
    }

    fn seconds(&mut self, bytes: usize) -> Result<f64, Box<dyn Error>> {
        let start = Instant::now();
        let value = tcp_copy::take(&mut self.giver, bytes)?;
        let taken = start.elapsed().as_secs_f64();
        if value.len() != bytes {
            return Err("the plain copy was cut off".into());
        }
        Ok(taken)
    }
}

impl Drop for Yardstick {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
