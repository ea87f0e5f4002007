//! One group-by and one `describe`, computed by ours and by Python Dask on the
//! same Parquet files.

use std::collections::BTreeMap;
use std::path::Path;

use flow_tests::python::Environment;
use flowdask::dataframe::{
    self, DataFrame, Table, count, datasets, max, min, read_parquet_blocking, sum,
};
use serde::Deserialize;

/// What the quartiles of `describe` promise.
const RANK_ERROR: f64 = 0.005;

/// Of the sum of absolute values: the order of additions differs.
const SUM_ERROR: f64 = 1e-9;

/// What `summarize_parquet.py` answers.
#[derive(Debug, Deserialize)]
struct Dask {
    rows: u64,
    types: BTreeMap<String, String>,
    groups: BTreeMap<String, Group>,
    describe: BTreeMap<String, DaskColumn>,
}

#[derive(Debug, Deserialize)]
struct Group {
    x_sum: Exact,
    /// The sum of absolute values.
    x_magnitude: Exact,
    y_min: Exact,
    y_max: Exact,
    id_sum: i64,
    count: i64,
}

#[derive(Debug, Deserialize)]
struct DaskColumn {
    statistics: BTreeMap<String, Exact>,
    magnitude: Exact,
    /// Between which values a quartile may lie.
    quartiles: BTreeMap<String, (Exact, Exact)>,
}

/// A float to its last bit: written as a string, because the reader of JSON
/// numbers rounds once more.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Exact(f64);

impl TryFrom<String> for Exact {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// More rows than those of which quartiles are exact, so that theirs are
/// estimated here.
fn timeseries() -> DataFrame {
    datasets::timeseries("2000-01-01", "2000-03-01")
        .partition_freq("1w")
        .seed(7)
        .build()
        .expect("a timeseries")
}

#[test]
fn the_same_files_give_the_same_answers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files = directory.path().join("timeseries");
    timeseries()
        .write_parquet_blocking(&files)
        .expect("writable files");
    let dask = summarize(&files);

    // What was kept in memory and what is read back are the same data.
    let persisted = timeseries().persist_blocking().expect("enough memory");
    let read =
        read_parquet_blocking(files.to_str().expect("a path in UTF-8")).expect("readable files");
    for frame in [&persisted, &read] {
        assert_eq!(frame.len_blocking().expect("a number of rows"), dask.rows);
        assert_groups(&groups(frame).expect("a group-by"), &dask.groups);
        assert_description(frame, &dask.describe);
    }

    // Dask reads the columns as those that its own dataset has; only the width
    // of the integers is not asked for.
    let types: Vec<(&str, &str)> = dask
        .types
        .iter()
        .map(|(column, kind)| (column.as_str(), kind.trim_end_matches(char::is_numeric)))
        .filter(|(column, _)| *column != "timestamp")
        .collect();
    assert_eq!(types[0], ("id", "int"));
    assert!(types[1].1.starts_with("str"), "{types:?}");
    assert_eq!(types[2..], [("x", "float"), ("y", "float")]);
}

fn summarize(files: &Path) -> Dask {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/summarize_parquet.py");
    Environment::dask()
        .and_then(|environment| {
            environment
                .program(program)
                .argument(files)
                .argument(RANK_ERROR.to_string())
                .run_json()
        })
        .unwrap_or_else(|error| panic!("{error}"))
}

fn groups(frame: &DataFrame) -> dataframe::Result<Table> {
    frame
        .groupby(["name"])
        .agg([
            sum("x").alias("x_sum"),
            min("y").alias("y_min"),
            max("y").alias("y_max"),
            sum("id").alias("id_sum"),
            count("id").alias("count"),
        ])?
        .compute_blocking()
}

fn assert_groups(ours: &Table, dask: &BTreeMap<String, Group>) {
    // Both sorted by name.
    let names = ours.texts("name").expect("texts");
    assert_eq!(names.len(), 26);
    assert!(names.iter().flatten().eq(dask.keys()), "{names:?}");

    let floats = |column| ours.floats(column).expect("floats");
    let integers = |column| ours.integers(column).expect("integers");
    let exact =
        |of: fn(&Group) -> Exact| dask.values().map(|group| of(group).0).collect::<Vec<_>>();
    let whole = |of: fn(&Group) -> i64| dask.values().map(of).collect::<Vec<_>>();
    assert_eq!(floats("y_min"), exact(|group| group.y_min));
    assert_eq!(floats("y_max"), exact(|group| group.y_max));
    assert_eq!(integers("id_sum"), whole(|group| group.id_sum));
    assert_eq!(integers("count"), whole(|group| group.count));
    for (ours, (name, dask)) in floats("x_sum").into_iter().zip(dask) {
        let tolerance = dask.x_magnitude.0 * SUM_ERROR;
        assert_near(
            &format!("sum of x of {name}"),
            ours,
            dask.x_sum.0,
            tolerance,
        );
    }
}

fn assert_description(frame: &DataFrame, dask: &BTreeMap<String, DaskColumn>) {
    let table = frame
        .describe()
        .and_then(|description| description.compute_blocking())
        .expect("a description");
    let labels: Vec<String> = table
        .texts("")
        .expect("labels")
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(
        labels,
        ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]
    );
    let columns: Vec<&str> = dask.keys().map(String::as_str).collect();
    assert_eq!(table.column_names()[1..], columns);

    for (column, dask) in dask {
        let values = table.floats(column).expect("a column of numbers");
        let count = dask.statistics["count"].0;
        for (label, value) in labels.iter().zip(values) {
            let what = format!("{label} of {column}");
            let expected = dask.statistics[label].0;
            match label.as_str() {
                "count" | "min" | "max" => assert_eq!(value, expected, "{what}"),
                "mean" => assert_near(&what, value, expected, dask.magnitude.0 / count * SUM_ERROR),
                "std" => assert_near(&what, value, expected, expected * SUM_ERROR),
                _ => {
                    let (Exact(least), Exact(greatest)) = dask.quartiles[label];
                    assert!(
                        (least..=greatest).contains(&value),
                        "{what}: {value} is not between {least} and {greatest}"
                    );
                }
            }
        }
    }
}

fn assert_near(what: &str, value: f64, expected: f64, tolerance: f64) {
    assert!(
        (value - expected).abs() <= tolerance,
        "{what}: {value} is not within {tolerance} of {expected}"
    );
}
