//! Partitions of a timeseries, beside Python Dask's.

use std::path::Path;

use flow_tests::python::Environment;
use flowdask::dataframe::{self, datasets, read_parquet_blocking};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Serialize)]
struct Case {
    start: &'static str,
    end: &'static str,
    freq: &'static str,
    partition_freq: &'static str,
}

/// What `timeseries_divisions.py` answers for a case.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Dask {
    Cut {
        /// Seconds since 1970: the first moment of each partition, and the end.
        divisions: Vec<i64>,
        rows: Vec<u64>,
    },
    Refused {
        error: String,
    },
}

/// The two cuts of the examples, at a coarser frequency of rows; then starts and
/// ends on and off the grid, units of every kind, rows that do not fill a
/// partition, and ranges in which nothing fits.
const CASES: [[&str; 4]; 17] = [
    ["2000", "2005", "6h", "2w"],
    ["2000", "2001", "1h", "4w"],
    ["2000-01-01", "2000-01-31", "1h", "1d"],
    ["2000-01-01 06:30:00", "2000-01-04", "10min", "12h"],
    ["2000-01-02", "2000-01-30", "1h", "1w"],
    ["2000-01-03", "2000-01-30", "1h", "1w"],
    ["2000-01-01", "2000-03-01", "1h", "W-WED"],
    ["2000-01-01", "2000-12-31", "1d", "1ME"],
    ["2000-01-15", "2001-01-15", "1d", "1MS"],
    ["2000-01-31", "2001-01-31", "1d", "2MS"],
    ["1999-12-31", "2003-01-01", "1d", "QE"],
    ["1999-12-31", "2003-01-01", "1d", "1YS"],
    ["2000-01-01", "2000-01-02", "7s", "1h"],
    ["2000-01-01", "2000-01-03", "5h", "1d"],
    ["2000-02-28", "2000-03-02", "1min", "1d"],
    ["2000-01-01", "2000-01-01", "1s", "1d"],
    ["2000-01-01", "2000-01-05", "1s", "2w"],
];

#[test]
fn partitions_are_cut_as_dask_cuts_them() {
    let cases = CASES.map(|[start, end, freq, partition_freq]| Case {
        start,
        end,
        freq,
        partition_freq,
    });
    for (case, dask) in cases.iter().zip(dask(&cases)) {
        match (cut(case), dask) {
            (Ok(ours), Dask::Cut { divisions, rows }) => {
                // A partition starts with a row of its own: the last division
                // is only an end.
                let starts = &divisions[..rows.len()];
                let dask: Vec<(i64, u64)> = starts.iter().copied().zip(rows).collect();
                assert_eq!(ours, dask, "{case:?}");
            }
            (Err(error), Dask::Refused { .. }) => {
                assert!(error.to_string().contains(case.partition_freq), "{error}");
            }
            (Ok(ours), Dask::Refused { error }) => {
                panic!("{case:?}: {} partitions, but Dask says {error}", ours.len())
            }
            (Err(error), Dask::Cut { rows, .. }) => {
                panic!(
                    "{case:?}: {error}, but Dask makes {} partitions",
                    rows.len()
                )
            }
        }
    }
}

fn dask(cases: &[Case]) -> Vec<Dask> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/timeseries_divisions.py");
    let cases = serde_json::to_string(cases).expect("JSON");
    Environment::dask()
        .and_then(|environment| environment.program(program).argument(cases).run_json())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The first moment and the number of rows of each partition, from the files
/// that a user would get.
fn cut(case: &Case) -> dataframe::Result<Vec<(i64, u64)>> {
    let frame = datasets::timeseries(case.start, case.end)
        .freq(case.freq)
        .partition_freq(case.partition_freq)
        .build()?;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files = directory.path().join("partitions");
    frame
        .select(["timestamp"])?
        .write_parquet_blocking(&files)?;
    (0..frame.npartitions())
        .map(|partition| {
            let file = files.join(format!("part.{partition}.parquet"));
            let frame = read_parquet_blocking(file.to_str().expect("a path in UTF-8"))?;
            let first = frame
                .sql("SELECT CAST(EXTRACT(EPOCH FROM MIN(timestamp)) AS BIGINT) AS first FROM df")?
                .compute_blocking()?
                .integers("first")?[0];
            Ok((first, frame.len_blocking()?))
        })
        .collect()
}
