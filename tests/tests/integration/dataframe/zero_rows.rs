//! Frames without a row go through every operation.

use flowdask::dataframe::{DataFrame, How, col, lit, max, quantile, read_parquet_blocking, sum};

use super::day;

fn empty_frames() -> Vec<DataFrame> {
    let filtered = day().filter(col("x").gt(lit(5.0))).unwrap();
    let kept = filtered.persist_blocking().unwrap();
    vec![filtered, kept]
}

#[test]
fn every_operation_takes_a_frame_without_rows() {
    for df in empty_frames() {
        assert_eq!(df.len_blocking().unwrap(), 0);
        let frames = [
            df.filter(col("y").gt(lit(0.0))).unwrap(),
            df.select(["x"]).unwrap(),
            df.with_column("z", col("x")).unwrap(),
            df.sort(["x"]).unwrap(),
            df.value_counts("name").unwrap(),
            df.drop_duplicates().unwrap(),
            df.repartition(3).unwrap(),
            df.groupby(["name"])
                .agg([sum("x"), max("y"), quantile("x", 0.5).alias("q")])
                .unwrap(),
            df.groupby(["name"]).mean().unwrap(),
            df.join(&df, ["name"], How::Outer).unwrap(),
            df.sql("select * from df order by x").unwrap(),
        ];
        for (number, frame) in frames.iter().enumerate() {
            assert_eq!(frame.compute_blocking().unwrap().num_rows(), 0, "{number}");
            assert_eq!(
                frame.persist_blocking().unwrap().len_blocking().unwrap(),
                0,
                "{number}"
            );
            assert_eq!(frame.head_blocking(3).unwrap().num_rows(), 0, "{number}");
            assert_eq!(frame.tail_blocking(3).unwrap().num_rows(), 0, "{number}");
            let table = frame.compute_blocking().unwrap();
            assert!(table.to_json().unwrap().is_empty(), "{number}");
            assert!(!table.to_string().is_empty(), "{number}");
        }
        let all = df.agg([sum("x")]).unwrap().compute_blocking().unwrap();
        assert_eq!(all.num_rows(), 1);
    }
}

#[test]
fn the_summary_of_nothing_is_a_count_of_zero() {
    for df in empty_frames() {
        let x = df
            .describe()
            .unwrap()
            .compute_blocking()
            .unwrap()
            .floats("x")
            .unwrap();
        assert_eq!(x.len(), 8);
        assert_eq!(x[0], 0.0);
        assert!(x[1..].iter().all(|value| value.is_nan()));
    }
}

#[test]
fn files_without_rows() {
    for df in empty_frames() {
        let directory = tempfile::tempdir().unwrap();
        df.write_parquet_blocking(directory.path()).unwrap();
        let back = read_parquet_blocking(directory.path()).unwrap();
        assert_eq!((back.npartitions(), back.len_blocking().unwrap()), (24, 0));
        assert_eq!(back.persist_blocking().unwrap().npartitions(), 24);
        assert_eq!(back.columns(), df.columns());
    }
}
