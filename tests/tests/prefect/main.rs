//! The table: flows written twice, in Rust and in Python with Prefect, and run on
//! both sides.
//!
//! Each row is a flow in `flows/` and a flow of the same name in
//! `tests/python/prefect/flows.py`. The flows are what to read: together they are
//! what tasks and flows promise. The test compares what the calls give and what
//! became of every run. What is made alike before is listed in [`record`], what is
//! meant to differ in [`differences`].

mod differences;
mod flows;
mod record;
mod table;
mod text;

use std::env;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

use flow_tests::prefect::Server;
use serde::Deserialize;

use crate::record::{Line, Record, comparable};

/// Half a minute where nothing else runs; much more beside several compilers.
const PATIENCE: Duration = Duration::from_mins(20);

/// A row as `observe.py` tells it.
#[derive(Deserialize)]
struct Observed {
    name: String,
    lines: Vec<Line>,
}

/// Only rows whose names contain this are run; for whoever writes new ones.
fn wanted() -> String {
    env::var("FLOW_TABLE_ROWS").unwrap_or_default()
}

/// Programs that run the rows with Prefect, each with a server of its own: most
/// of the time they wait for it, or sleep.
const SHARES: usize = 2;

/// What becomes of the flows with Prefect.
fn with_prefect() -> Vec<(String, Record)> {
    let mut shares: Vec<_> = std::thread::scope(|scope| {
        let start = |share| scope.spawn(move || share_with_prefect(share));
        let threads: Vec<_> = (0..SHARES).map(start).collect();
        let rows = threads.into_iter().map(|thread| {
            let rows = thread.join();
            rows.unwrap_or_else(|panic| resume_unwind(panic))
                .into_iter()
        });
        rows.collect()
    });
    // Row by row from one after the other, as they were dealt out.
    (0..SHARES)
        .cycle()
        .map_while(|share| shares[share].next())
        .collect()
}

fn share_with_prefect(share: usize) -> Vec<(String, Record)> {
    // It would add states of its own to runs that have ended, some time later.
    let settings = [(
        "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED",
        "false",
    )];
    let server = Server::with_settings(&settings).unwrap_or_else(|error| panic!("{error}"));
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/prefect/observe.py");
    let rows: Vec<Observed> = server
        .program(program)
        .argument(wanted())
        .argument(share.to_string())
        .argument(SHARES.to_string())
        .limit(PATIENCE)
        .run_json()
        .unwrap_or_else(|error| panic!("{error}"));
    rows.into_iter()
        .map(|row| (row.name, comparable(row.lines)))
        .collect()
}

/// What becomes of the flows here.
fn with_ours() -> Vec<(String, Record)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let wanted = wanted();
    flows::table()
        .filter(|row| row.name.contains(&wanted))
        .map(|row| {
            flows::forget();
            let lines = runtime.block_on((row.run)());
            (row.name.to_owned(), comparable(lines))
        })
        .collect()
}

#[test]
fn every_flow_ends_as_with_prefect() {
    let (ours, prefect) = std::thread::scope(|scope| {
        let prefect = scope.spawn(with_prefect);
        let ours = with_ours();
        let prefect = prefect.join();
        (ours, prefect.unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let names = |rows: &[(String, Record)]| -> Vec<String> {
        rows.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(
        names(&ours),
        names(&prefect),
        "the same rows in the same order"
    );
    let wrong: Vec<String> = ours
        .iter()
        .zip(&prefect)
        .filter_map(|((name, ours), (_, prefect))| {
            let wrong = differences::unintended(name, prefect, ours);
            (!wrong.is_empty()).then(|| format!("{name}\n{}", wrong.join("\n")))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} rows differ:\n\n{}",
        wrong.len(),
        ours.len(),
        wrong.join("\n\n")
    );
}
