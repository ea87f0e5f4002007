//! Many rows of maps: none is lost, by the server's own count, and what waits
//! for the server stays small.

use std::collections::BTreeMap;

use flow_tests::prefect::Server;
use serde_json::{Value, json};

/// What telling may need at the peak, beside what the flow needs.
const MEMORY: u64 = 64 << 20;

/// Where the child tells its runs.
enum Told<'a> {
    To(&'a Server),
    /// Nobody listens there. What waits in memory takes so many bytes.
    Away(u64),
    Nobody,
}

/// Runs the child; gives its peak of memory in bytes.
fn peak(told: &Told<'_>, rows: u32, rows_of_a_map: u32) -> u64 {
    let home = tempfile::tempdir().expect("a directory");
    let program = env!("CARGO_BIN_EXE_counted_rows");
    let mut command = match told {
        Told::To(server) => server.command(program, home.path()),
        Told::Away(_) | Told::Nobody => std::process::Command::new(program),
    };
    // However busy the machine is.
    command.env("PREFECT_REPORTING_DRAIN_TIMEOUT", "3600");
    if !matches!(told, Told::To(_)) {
        command.env_remove("PREFECT_API_URL").current_dir(&home);
        command.env("PREFECT_HOME", home.path());
    }
    if let Told::Away(bound) = told {
        command.env("PREFECT_API_URL", "http://127.0.0.1:9/api");
        command.env("PREFECT_REPORTING_MEMORY_LIMIT", bound.to_string());
        command.env("PREFECT_REPORTING_DRAIN_TIMEOUT", "1");
    }
    command.args([rows.to_string(), rows_of_a_map.to_string()]);
    let output = command.output().expect("the child starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().expect("a number of bytes")
}

/// How many task runs of the child's flow have each state.
fn counts(server: &Server) -> BTreeMap<&'static str, u64> {
    let states = ["COMPLETED", "FAILED", "RUNNING", "PENDING", "SCHEDULED"];
    let counts = states.map(|state| {
        let filter = json!({
            "flows": {"name": {"any_": ["counted-rows"]}},
            "task_runs": {"state": {"type": {"any_": [state]}}},
        });
        let count = server.post("/task_runs/count", &filter);
        (state, count.as_u64().expect("a count"))
    });
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn all_rows_are_recorded(rows: u32) {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let with = peak(&Told::To(&server), rows, 1000);
    let failed = u64::from(rows / 1000);
    let completed = u64::from(rows) - failed;
    let expected = BTreeMap::from([("COMPLETED", completed), ("FAILED", failed)]);
    assert_eq!(counts(&server), expected);
    check_memory(rows, with, MEMORY);
}

/// With reporting the child needed so many bytes: without it not many less.
fn check_memory(rows: u32, with: u64, most: u64) {
    let without = peak(&Told::Nobody, rows, 1000);
    let needed = with.saturating_sub(without);
    println!("{rows} rows: {with} bytes with reporting, {without} without");
    assert!(needed <= most, "{needed} bytes: {with} and {without}");
}

#[test]
fn a_thousand_rows_are_all_recorded_and_need_little_memory() {
    all_rows_are_recorded(1000);
}

#[test]
#[ignore = "slow lane: a server takes minutes for so many"]
fn ten_thousand_rows_are_all_recorded_and_need_little_memory() {
    all_rows_are_recorded(10_000);
}

/// With a server that is away, and this bound of what waits in memory.
fn little_memory_waits(rows: u32, bound: u64, most: u64) {
    let with = peak(&Told::Away(bound), rows, 1000);
    check_memory(rows, with, most);
}

#[test]
fn rows_that_wait_for_a_server_need_little_memory() {
    little_memory_waits(40_000, 1 << 20, 16 << 20);
}

#[test]
#[ignore = "slow lane: many rows"]
fn two_hundred_thousand_rows_that_wait_for_a_server_need_little_memory() {
    little_memory_waits(200_000, 32 << 20, MEMORY);
}

/// The server shows batches, which together count all rows, and beside them
/// the rows that failed.
fn batches_count_all_rows(rows: u32) {
    let server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    peak(&Told::To(&server), rows, rows);
    let filter = json!({"flows": {"name": {"any_": ["counted-rows"]}}});
    let runs = server.all("task_runs", &filter);
    let message = |run: &Value| run["state"]["message"].as_str().map(str::to_owned);
    let (batches, single): (Vec<_>, Vec<_>) = runs
        .iter()
        .partition(|run| message(run).is_some_and(|text| text.contains(" rows: ")));
    let size = rows.div_ceil(1000);
    assert_eq!(batches.len() as u32, rows.div_ceil(size), "{runs:?}");
    let (mut all, mut completed, mut failed) = (0, 0, 0);
    for batch in batches {
        let message = message(batch).expect("a message");
        let (of_batch, rest) = message.split_once(" rows: ").expect("counts");
        all += of_batch.parse::<u32>().expect("a number");
        for count in rest.split(", ") {
            match count.split_once(' ').expect("a count and a word") {
                (number, "completed") => completed += number.parse::<u32>().expect("a number"),
                (number, "failed") => failed += number.parse::<u32>().expect("a number"),
                other => panic!("{other:?} in {message}"),
            }
        }
    }
    let bad = (0..rows).filter(|row| row % 1000 == 7);
    assert_eq!((all, failed), (rows, bad.clone().count() as u32));
    assert_eq!(completed, rows - failed);
    let mut told: Vec<_> = single.iter().filter_map(|run| message(run)).collect();
    let texts = bad.map(|row| format!("row {row} is bad"));
    assert_eq!(told.len() as u32, failed);
    for text in texts {
        let place = told.iter().position(|message| message.contains(&text));
        told.swap_remove(place.unwrap_or_else(|| panic!("{text} is not told")));
    }
}

#[test]
fn long_maps_are_batches_and_the_rows_that_failed() {
    batches_count_all_rows(2_500);
}

#[test]
#[ignore = "slow lane: a million rows"]
fn a_million_rows_are_a_thousand_batches_and_the_rows_that_failed() {
    batches_count_all_rows(1_000_000);
}
