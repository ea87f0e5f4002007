//! Each mistake is a typed error that names the thing and the cure, and comes at once.

use std::error::Error as _;
use std::time::Instant;

use flowdask::dataframe::{
    DataFrame, Error, Expr, How, Result, col, datasets, lit, quantile, sql, sum,
};

use super::{day, values};

#[test]
fn wrong_dates_and_frequencies() {
    let build = |start: &str, end: &str, freq: &str, partition_freq: &str| {
        datasets::timeseries(start, end)
            .freq(freq)
            .partition_freq(partition_freq)
            .build()
            .unwrap_err()
    };
    let error = build("2000", "soon", "1s", "1d");
    assert!(
        error
            .to_string()
            .starts_with("\"soon\" is not a date: write it as"),
        "{error}"
    );
    let error = build("2001", "2000", "1s", "1d");
    assert_eq!(
        error.to_string(),
        "the time series ends (2000) before it starts (2001): swap the two dates"
    );
    let error = build("2000", "2001", "1 sheep", "1d");
    assert!(
        error
            .to_string()
            .starts_with("\"1 sheep\" is not a frequency: \"sheep\" is no unit"),
        "{error}"
    );
    let error = build("2000", "2001", "1s", "2m");
    assert!(
        error.to_string().contains("write \"min\" or \"ME\""),
        "{error}"
    );
    let error = build("2000-01-01", "2000-01-05", "1s", "2w");
    assert!(matches!(error, Error::NoPartitions { .. }), "{error}");
    let error = build("2000", "2000", "1s", "1d");
    assert!(matches!(error, Error::NoPartitions { .. }), "{error}");
    // More than can be counted or waited for.
    for (freq, partition_freq) in [
        ("1us", "1us"),
        ("1us", "8000000000000000000us"),
        ("1s", "99999999999w"),
        ("1s", "9999999999YE"),
    ] {
        let started = Instant::now();
        let error = build("0001", "9999", freq, partition_freq);
        assert!(
            matches!(
                error,
                Error::InvalidFrequency { .. } | Error::NoPartitions { .. }
            ),
            "{error}"
        );
        assert!(started.elapsed().as_secs() < 5);
    }
}

#[test]
fn unknown_columns_are_named_with_those_that_are_near() {
    let df = day();
    let wrong: Vec<Result<DataFrame>> = vec![
        df.filter(col("nmae").eq(lit("Alice"))),
        df.select(["nmae"]),
        df.with_column("z", col("nmae")),
        df.rename([("nmae", "z")]),
        df.drop(["nmae"]),
        df.sort(["nmae"]),
        df.value_counts("nmae"),
        df.groupby(["nmae"]).agg([sum("x")]),
        df.groupby(["id"]).agg([sum("nmae")]),
        df.agg([sum("nmae")]),
        df.join(&df, ["nmae"], How::Inner),
        df.sql("select nmae from df"),
    ];
    for result in wrong {
        let error = result.unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no column \"nmae\": did you mean \"name\"?"
        );
    }
    let error = df.select(["salary"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no column \"salary\": the columns are \"timestamp\", \"name\", \"id\", \"x\", \"y\""
    );
    let table = df.head_blocking(1).unwrap();
    assert!(matches!(table.floats("xx"), Err(Error::UnknownColumn { near, .. }) if near == ["x"]));
    assert!(matches!(
        table.floats("name"),
        Err(Error::ColumnType { .. })
    ));
}

#[test]
fn arguments_that_mean_nothing() {
    let df = day();
    let invalid: Vec<Result<DataFrame>> = vec![
        df.select(Vec::<Expr>::new()),
        df.sort(Vec::<&str>::new()),
        df.groupby(Vec::<&str>::new()).agg([sum("x")]),
        df.groupby(["name"]).agg(Vec::<Expr>::new()),
        df.join(&df, Vec::<&str>::new(), How::Inner),
        df.repartition(0),
        df.select(["name"]).and_then(|df| df.describe()),
        df.select(["name"])
            .and_then(|df| df.groupby(["name"]).sum()),
    ];
    for (number, result) in invalid.into_iter().enumerate() {
        assert!(
            matches!(result, Err(Error::InvalidArgument { .. })),
            "{number}"
        );
    }
    let twice: Vec<Result<DataFrame>> = vec![
        df.select(["x", "x"]),
        df.rename([("x", "y")]),
        df.groupby(["name"]).agg([sum("x"), sum("x")]),
        df.groupby(["name"]).agg([sum("x").alias("name")]),
        df.groupby(["name", "name"]).agg([sum("x")]),
        df.sql("select a.x, b.x from df a join df b on a.id = b.id"),
    ];
    for (number, result) in twice.into_iter().enumerate() {
        assert!(
            matches!(result, Err(Error::DuplicateColumn { .. })),
            "{number}: {result:?}"
        );
    }
    assert!(matches!(
        df.filter(col("x") + lit(1.0)),
        Err(Error::Plan {
            operation: "filter",
            ..
        })
    ));
    let share = df
        .groupby(["name"])
        .agg([quantile("x", 1.5)])
        .and_then(|df| df.compute_blocking());
    let error = share.unwrap_err();
    assert!(
        error.source().unwrap().to_string().contains("from 0 to 1"),
        "{error:?}"
    );
}

#[test]
fn queries_that_are_wrong_or_do_more_than_read() {
    let df = day();
    for query in [
        "",
        "selec x from df",
        "select * from other",
        "drop table df",
        "set a = 1",
        "insert into df values (1)",
        "create table t as select 1",
        "copy df to 'x.csv'",
        "select 1; select 2",
        "create external table t stored as csv location '/etc/passwd'",
    ] {
        let error = df.sql(query).unwrap_err();
        assert!(matches!(error, Error::Sql { .. }), "{query}: {error}");
        assert!(error.source().is_some());
    }
    // Files are no tables.
    assert!(sql("select * from '/etc/passwd'", [("df", &df)]).is_err());
}

#[test]
fn failures_while_computing_leave_the_process_and_the_frame_alive() {
    let df = day();
    let broken = df
        .with_column("z", lit(1) / (col("id") - col("id")))
        .unwrap();
    for _ in 0..2 {
        assert!(matches!(
            broken.compute_blocking(),
            Err(Error::Compute { .. })
        ));
        assert!(matches!(
            broken.persist_blocking(),
            Err(Error::Compute { .. })
        ));
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            broken.write_parquet_blocking(directory.path()),
            Err(Error::Compute { .. })
        ));
        // Nothing half-written is left.
        assert_eq!(
            std::fs::read_dir(directory.path())
                .unwrap()
                .filter(|entry| {
                    entry
                        .as_ref()
                        .unwrap()
                        .path()
                        .to_string_lossy()
                        .ends_with("unfinished")
                })
                .count(),
            0
        );
    }
    assert_eq!(df.len_blocking().unwrap(), 1440);
}

#[test]
fn memory_that_does_not_suffice_is_said_before_anything_is_made() {
    let df = datasets::timeseries("2000", "2005")
        .freq("10us")
        .build()
        .unwrap();
    let started = Instant::now();
    let error = df.persist_blocking().unwrap_err();
    assert!(started.elapsed().as_secs() < 5);
    match &error {
        Error::NotEnoughMemory {
            rows,
            needed,
            available,
        } => {
            assert_eq!(*rows, 1827 * 86_400 * 100_000);
            assert_eq!(*needed, rows * 33);
            assert!(available < needed);
        }
        other => panic!("{other:?}"),
    }
    assert!(
        error.to_string().contains("needs 473.77 TiB of memory"),
        "{error}"
    );
}

#[test]
fn a_frame_does_not_travel_and_says_why() {
    let frame = day().persist_blocking().unwrap();
    let error = serde_json::to_string(&frame).unwrap_err();
    assert!(error.to_string().contains("#[task(local)]"), "{error}");
    assert!(serde_json::from_str::<DataFrame>("{}").is_err());
}

#[test]
fn rows_that_do_not_fit_a_type() {
    #[derive(Debug, serde::Deserialize)]
    struct Row {
        #[expect(dead_code, reason = "only to be read into")]
        x: i8,
    }
    let error = values("select 'a' as x")
        .compute_blocking()
        .unwrap()
        .rows::<Row>()
        .unwrap_err();
    assert!(matches!(error, Error::Rows { .. }));
}
