//! `describe` and quantiles: pandas' layout, exact or within half a percent of the rank.

use flowdask::dataframe::{col, datasets, lit, median, quantile};

use super::values;

#[test]
fn the_layout_is_pandas() {
    let df = values(
        "select * from (values (1, 1.5, 'a'), (2, 2.5, 'b'), (3, cast(null as double), 'c'), (4, 4.5, 'd')) as t(id, x, name)",
    );
    let table = df.describe().unwrap().compute_blocking().unwrap();
    let expected = [
        "             id         x",
        "count  4.000000  3.000000",
        "mean   2.500000  2.833333",
        "std    1.290994  1.527525",
        "min    1.000000  1.500000",
        "25%    1.750000  2.000000",
        "50%    2.500000  2.500000",
        "75%    3.250000  3.500000",
        "max    4.000000  4.500000",
    ];
    assert_eq!(table.to_string(), expected.join("\n"));
}

#[test]
fn all_kinds_of_numbers_and_missing_values() {
    let df = values(
        "select arrow_cast(a, 'Int8') as i8, arrow_cast(a, 'UInt64') as u64, arrow_cast(a, 'Float32') as f32, \
         cast(a as decimal(10, 2)) as decimal, b from (values (1, 'nan'::double), (2, 5.0), (3, null)) as t(a, b)",
    );
    let table = df.describe().unwrap().compute_blocking().unwrap();
    for column in ["i8", "u64", "f32", "decimal"] {
        assert_eq!(
            table.floats(column).unwrap(),
            [3.0, 2.0, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0],
            "{column}"
        );
    }
    let b = table.floats("b").unwrap();
    assert_eq!(b[0], 1.0);
    assert!(b[2].is_nan());
    assert_eq!(b[3..], [5.0; 5]);
}

/// The true rank of each quartile is read back from the rows themselves.
#[test]
fn quartiles_of_skewed_columns_are_within_half_a_percent() {
    let df = datasets::timeseries("2000-01-01", "2000-02-01")
        .seed(5)
        .build()
        .unwrap();
    let df = df
        .sql("select exp(20 * x) as tail, -exp(20 * y) as head, round(exp(3 * x)) as steps, case when x < 0.9 then 0.0 else y end as zeros, id from df")
        .unwrap()
        .persist_blocking()
        .unwrap();
    let rows = df.len_blocking().unwrap() as f64;
    let summary = df.describe().unwrap().compute_blocking().unwrap();
    for column in ["tail", "head", "steps", "zeros", "id"] {
        let figures = summary.floats(column).unwrap();
        assert_eq!(figures[0], rows);
        for (share, value) in [0.25, 0.5, 0.75].into_iter().zip(&figures[4..7]) {
            let count =
                |condition| df.filter(condition).unwrap().len_blocking().unwrap() as f64 / rows;
            let below = count(col(column).lt(lit(*value)));
            let up_to = count(col(column).lt_eq(lit(*value)));
            assert!(
                below <= share + 0.005 && up_to >= share - 0.005,
                "{column} {share}: {below} to {up_to}"
            );
        }
    }
}

#[test]
fn quantiles_of_groups() {
    let df = values("select * from (values ('a', 1), ('a', 2), ('a', 9), ('b', 5)) as t(name, x)");
    let table = df
        .groupby(["name"])
        .agg([median("x"), quantile("x", 0.25).alias("low")])
        .unwrap()
        .compute_blocking()
        .unwrap();
    assert_eq!(table.floats("x").unwrap(), [2.0, 5.0]);
    assert_eq!(table.floats("low").unwrap(), [1.5, 5.0]);
}
