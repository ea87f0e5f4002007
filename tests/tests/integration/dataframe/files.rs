//! Parquet and CSV: there and back, and files that are not what they should be.

use std::error::Error as _;
use std::path::Path;

use flowdask::dataframe::{
    DataFrame, Error, col, datasets, lit, read_csv_blocking, read_parquet_blocking,
};

use super::day;

fn rows(df: &DataFrame) -> Vec<serde_json::Value> {
    df.compute_blocking().unwrap().to_json().unwrap()
}

fn assert_names(error: &Error, file: &Path) {
    assert!(
        matches!(error, Error::UnreadableFile { path, .. } if path == file),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(&file.display().to_string()),
        "{error}"
    );
    assert!(error.source().is_some());
}

#[test]
fn parquet_there_and_back_keeps_rows_order_and_partitions() {
    let directory = tempfile::tempdir().unwrap();
    // A place whose name needs care in paths, patterns and URLs.
    let place = directory.path().join("a b%20ü#?");
    let df = day();
    df.write_parquet_blocking(&place).unwrap();
    let back = read_parquet_blocking(&place).unwrap();
    assert_eq!(back.npartitions(), 24);
    assert_eq!(rows(&back), rows(&df));
    assert_eq!(
        rows(&back.filter(col("x").gt(lit(0.0))).unwrap()),
        rows(&df.filter(col("x").gt(lit(0.0))).unwrap())
    );
    assert_eq!(
        back.tail_blocking(3).unwrap().to_json().unwrap(),
        rows(&df)[1437..]
    );
    let kept = back.persist_blocking().unwrap();
    assert_eq!(kept.npartitions(), 24);
    assert_eq!(rows(&kept), rows(&df));

    let error = df.write_parquet_blocking(&place).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
    assert_eq!(
        read_parquet_blocking(place.join("part.3.parquet"))
            .unwrap()
            .len_blocking()
            .unwrap(),
        60
    );
    let some = read_parquet_blocking(format!("{}/*.parquet", directory.path().display()));
    assert!(matches!(some, Err(Error::NoFiles { .. })));
}

#[test]
fn a_frame_that_is_no_row_of_partitions_is_written_as_it_says() {
    let df = day();
    for (frame, partitions) in [
        (df.groupby(["name"]).sum().unwrap(), 1),
        (df.select(["name"]).unwrap().drop_duplicates().unwrap(), 1),
        (
            df.filter(col("x").gt(lit(0.0)))
                .unwrap()
                .repartition(3)
                .unwrap(),
            3,
        ),
        (
            df.join(&df, ["timestamp"], flowdask::dataframe::How::Inner)
                .unwrap(),
            24,
        ),
        (df.sql("select * from df order by x").unwrap(), 1),
    ] {
        let directory = tempfile::tempdir().unwrap();
        frame.write_parquet_blocking(directory.path()).unwrap();
        let back = read_parquet_blocking(directory.path()).unwrap();
        assert_eq!(
            (back.npartitions(), frame.npartitions()),
            (partitions, partitions)
        );
        assert_eq!(back.len_blocking().unwrap(), frame.len_blocking().unwrap());
        assert_eq!(frame.persist_blocking().unwrap().npartitions(), partitions);
    }
}

#[test]
fn csv_files_are_read_in_order_and_their_types_go_together() {
    let directory = tempfile::tempdir().unwrap();
    for (number, text) in ["a,b\n1,x\n", "a,b\n2.5,y\n", "a,b\n,\"z, w\"\n"]
        .iter()
        .enumerate()
    {
        std::fs::write(directory.path().join(format!("{}.csv", 9 + number)), text).unwrap();
    }
    let df = read_csv_blocking(directory.path()).unwrap();
    assert_eq!(df.npartitions(), 3);
    let table = df.compute_blocking().unwrap();
    assert_eq!(table.floats("a").unwrap()[..2], [1.0, 2.5]);
    assert_eq!(table.texts("b").unwrap().concat_all(), "x|y|z, w");

    let wrong = directory.path().join("12.csv");
    std::fs::write(&wrong, "a,c\n1,2\n").unwrap();
    let error = read_csv_blocking(directory.path()).unwrap_err();
    assert!(
        matches!(&error, Error::ColumnsDiffer { path, .. } if *path == wrong),
        "{error:?}"
    );
}

trait ConcatAll {
    fn concat_all(&self) -> String;
}

impl ConcatAll for Vec<Option<String>> {
    fn concat_all(&self) -> String {
        self.iter()
            .map(|text| text.as_deref().unwrap_or("-"))
            .collect::<Vec<_>>()
            .join("|")
    }
}

#[test]
fn files_that_are_missing_empty_garbage_or_cut_off_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = read_parquet_blocking("no/such/*.parquet").unwrap_err();
    assert!(matches!(&missing, Error::NoFiles { pattern } if pattern == "no/such/*.parquet"));
    assert!(matches!(
        read_parquet_blocking(directory.path()),
        Err(Error::NoFiles { .. })
    ));
    assert!(matches!(read_csv_blocking("["), Err(Error::NoFiles { .. })));

    day()
        .repartition(2)
        .unwrap()
        .write_parquet_blocking(directory.path().join("good"))
        .unwrap();
    let whole = std::fs::read(directory.path().join("good/part.0.parquet")).unwrap();
    let bad = directory.path().join("good/part.1.parquet");
    for content in [
        &b""[..],
        b"garbage",
        b"PAR1",
        &whole[..whole.len() / 2],
        &whole[..whole.len() - 1],
    ] {
        std::fs::write(&bad, content).unwrap();
        assert_names(
            &read_parquet_blocking(directory.path().join("good")).unwrap_err(),
            &bad,
        );
    }
    // The footer is whole, the rows are not: that shows when they are read.
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[8..middle].fill(0xff);
    std::fs::write(&bad, &broken).unwrap();
    let df = read_parquet_blocking(directory.path().join("good")).unwrap();
    assert_names(&df.compute_blocking().unwrap_err(), &bad);
    assert_names(&df.persist_blocking().unwrap_err(), &bad);
    assert_names(
        &df.groupby(["name"])
            .sum()
            .unwrap()
            .compute_blocking()
            .unwrap_err(),
        &bad,
    );
    assert_names(
        &df.describe().unwrap().compute_blocking().unwrap_err(),
        &bad,
    );
    // A file that goes while frames are over it.
    std::fs::remove_file(&bad).unwrap();
    assert_names(&df.compute_blocking().unwrap_err(), &bad);
    assert_names(&df.persist_blocking().unwrap_err(), &bad);
}

#[test]
fn a_line_that_does_not_fit_its_column_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut text = "a\n".to_owned();
    text.push_str(&"1\n".repeat(2000));
    text.push_str("one\n");
    let bad = directory.path().join("bad.csv");
    std::fs::write(directory.path().join("a.csv"), "a\n1\n").unwrap();
    std::fs::write(&bad, text).unwrap();
    let df = read_csv_blocking([directory.path().join("a.csv"), bad.clone()]).unwrap();
    assert_names(&df.compute_blocking().unwrap_err(), &bad);
    let ragged = directory.path().join("ragged.csv");
    std::fs::write(&ragged, "a,b\n1,2\n3\n").unwrap();
    let read = read_csv_blocking(&ragged).and_then(|df| df.compute_blocking());
    assert_names(&read.unwrap_err(), &ragged);
}

#[test]
fn a_directory_that_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = day()
        .write_parquet_blocking(file.join("inside"))
        .unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error:?}");
}

#[test]
fn a_large_file_is_counted_and_grouped_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let df = datasets::timeseries("2000-01-01", "2000-01-04")
        .build()
        .unwrap();
    df.write_parquet_blocking(directory.path()).unwrap();
    let back = read_parquet_blocking(directory.path()).unwrap();
    let figures = |df: &DataFrame| {
        rows(&df.sql("select name, count(*) as n, sum(id) as ids, max(y) as y from df group by name order by name").unwrap())
    };
    assert_eq!(figures(&back), figures(&df));
}
