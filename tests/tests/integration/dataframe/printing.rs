//! Tables print as pandas prints frames, and travel whole.

use flowdask::dataframe::{Table, sum};

use super::{day, values};

#[test]
fn a_grouped_table() {
    let df =
        values("select * from (values ('Alice', 1.25, 3), ('Bob', -10.0, 40)) as t(name, x, id)");
    let table = df
        .groupby(["name"])
        .agg([sum("x"), sum("id")])
        .unwrap()
        .compute_blocking()
        .unwrap();
    assert_eq!(
        table.to_string(),
        "            x  id\nname\nAlice    1.25   3\nBob    -10.00  40"
    );
}

#[test]
fn long_tables_are_cut_in_the_middle() {
    let table = day().select(["id"]).unwrap().compute_blocking().unwrap();
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 14);
    assert!(lines[6].starts_with("... "));
    assert!(lines[11].starts_with("1439  "));
    assert_eq!(lines[13], "[1440 rows x 1 columns]");
}

#[test]
fn very_large_and_missing_numbers() {
    let table = values("select * from (values (1e9, 'nan'::double), (0.5, null)) as t(a, b)")
        .compute_blocking()
        .unwrap();
    assert_eq!(
        table.to_string(),
        "              a    b\n0  1.000000e+09  NaN\n1  5.000000e-01  NaN"
    );
}

#[test]
fn a_table_travels_with_its_index() {
    let table = day()
        .groupby(["name"])
        .sum()
        .unwrap()
        .compute_blocking()
        .unwrap();
    let there: Table = serde_json::from_str(&serde_json::to_string(&table).unwrap()).unwrap();
    assert_eq!(there.to_string(), table.to_string());
    let empty = day().head_blocking(0).unwrap();
    let there: Table = serde_json::from_str(&serde_json::to_string(&empty).unwrap()).unwrap();
    assert_eq!(there.column_names(), empty.column_names());
}
