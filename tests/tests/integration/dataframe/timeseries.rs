//! `datasets::timeseries`: cut as Dask cuts it, the same for a seed.

use flowdask::dataframe::datasets;

struct Case {
    range: (&'static str, &'static str),
    partition_freq: &'static str,
    partitions: usize,
    rows: u64,
    first: &'static str,
    last: &'static str,
}

/// Figures of `dask.datasets.timeseries` for the same arguments.
const CASES: [Case; 12] = [
    case(
        ("2000", "2005"),
        "2w",
        130,
        157_248_000,
        "2000-01-02T00:00:00",
        "2004-12-25T23:59:59",
    ),
    case(
        ("2000", "2001"),
        "4w",
        13,
        31_449_600,
        "2000-01-02T00:00:00",
        "2000-12-30T23:59:59",
    ),
    case(
        ("2000", "2001"),
        "1d",
        366,
        31_622_400,
        "2000-01-01T00:00:00",
        "2000-12-31T23:59:59",
    ),
    case(
        ("2000", "2001"),
        "1ME",
        11,
        28_944_000,
        "2000-01-31T00:00:00",
        "2000-12-30T23:59:59",
    ),
    case(
        ("2000", "2001"),
        "1MS",
        12,
        31_622_400,
        "2000-01-01T00:00:00",
        "2000-12-31T23:59:59",
    ),
    case(
        ("2000", "2001"),
        "QS",
        4,
        31_622_400,
        "2000-01-01T00:00:00",
        "2000-12-31T23:59:59",
    ),
    case(
        ("2000", "2001"),
        "QE",
        3,
        23_760_000,
        "2000-03-31T00:00:00",
        "2000-12-30T23:59:59",
    ),
    case(
        ("2000", "2005"),
        "YS",
        5,
        157_852_800,
        "2000-01-01T00:00:00",
        "2004-12-31T23:59:59",
    ),
    case(
        ("2000", "2000-02"),
        "W-MON",
        4,
        2_419_200,
        "2000-01-03T00:00:00",
        "2000-01-30T23:59:59",
    ),
    case(
        ("2000-01-01", "2000-01-02"),
        "1h",
        24,
        86_400,
        "2000-01-01T00:00:00",
        "2000-01-01T23:59:59",
    ),
    case(
        ("2000-01-01", "2000-01-02"),
        "1h30min",
        16,
        86_400,
        "2000-01-01T00:00:00",
        "2000-01-01T23:59:59",
    ),
    case(
        ("2000-01-01", "2000-01-02"),
        "7h",
        3,
        75_600,
        "2000-01-01T00:00:00",
        "2000-01-01T20:59:59",
    ),
];

const fn case(
    range: (&'static str, &'static str),
    partition_freq: &'static str,
    partitions: usize,
    rows: u64,
    first: &'static str,
    last: &'static str,
) -> Case {
    Case {
        range,
        partition_freq,
        partitions,
        rows,
        first,
        last,
    }
}

#[test]
fn ranges_are_cut_as_dask_cuts_them() {
    for case in &CASES {
        let name = format!("{:?} by {}", case.range, case.partition_freq);
        let df = datasets::timeseries(case.range.0, case.range.1)
            .partition_freq(case.partition_freq)
            .build()
            .unwrap();
        assert_eq!(df.npartitions(), case.partitions, "{name}");
        assert_eq!(df.len_blocking().unwrap(), case.rows, "{name}");
        let end = |table: flowdask::dataframe::Table| {
            table.texts("timestamp").unwrap()[0].clone().unwrap()
        };
        assert_eq!(end(df.head_blocking(1).unwrap()), case.first, "{name}");
        assert_eq!(end(df.tail_blocking(1).unwrap()), case.last, "{name}");
    }
}

#[test]
fn a_seed_gives_the_same_rows_however_they_are_cut_and_kept() {
    let series = |partition_freq: &str| {
        datasets::timeseries("2000-01-01", "2000-01-15")
            .freq("1min")
            .partition_freq(partition_freq)
            .seed(7)
            .build()
            .unwrap()
    };
    let rows =
        |df: &flowdask::dataframe::DataFrame| df.compute_blocking().unwrap().to_json().unwrap();
    let expected = rows(&series("1d"));
    assert_eq!(expected.len(), 14 * 1440);
    assert_eq!(rows(&series("7d")), expected);
    assert_eq!(rows(&series("1d").repartition(5).unwrap()), expected);
    assert_eq!(rows(&series("1d").persist_blocking().unwrap()), expected);
    assert_eq!(
        rows(
            &series("2d")
                .persist_blocking()
                .unwrap()
                .repartition(3)
                .unwrap()
        ),
        expected
    );
}

/// Columns that are large enough to be mapped hold what small ones hold.
#[test]
fn large_partitions_hold_the_same_rows() {
    let df = datasets::timeseries("2000", "2001")
        .partition_freq("4w")
        .build()
        .unwrap();
    let first = df
        .sql("select * from df where timestamp < timestamp '2000-01-30'")
        .unwrap();
    let figures = |df: &flowdask::dataframe::DataFrame| {
        let sql = "select count(*) as rows, sum(id) as ids, min(x) as x, max(y) as y, \
                   min(name) as name, count(distinct timestamp) as times from df";
        df.sql(sql)
            .unwrap()
            .compute_blocking()
            .unwrap()
            .to_json()
            .unwrap()
    };
    let month = datasets::timeseries("2000", "2000-01-30")
        .partition_freq("4w")
        .build()
        .unwrap();
    assert_eq!(figures(&month.persist_blocking().unwrap()), figures(&first));
}
