//! A generated year has the distributions that Dask's dataset has.
//!
//! The seed is fixed, so the figures are always the same ones. The tolerances
//! are six standard deviations of the statistic, which a generator that is right
//! passes with any seed but one in half a billion.

use flowdask::dataframe::{DataFrame, Table, datasets};

/// Of each statistic's own standard deviation.
const DEVIATIONS: f64 = 6.0;

const NAMES: usize = 26;

/// Each range of `x` that the test of independence looks at.
const RANGES: usize = 8;

fn year() -> DataFrame {
    datasets::timeseries("2000", "2001")
        .partition_freq("4w")
        .seed(2000)
        .build()
        .expect("a timeseries")
}

fn query(sql: &str) -> Table {
    year()
        .sql(sql)
        .and_then(|frame| frame.compute_blocking())
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

fn one(table: &Table, column: &str) -> f64 {
    table.floats(column).expect("a column of numbers")[0]
}

fn assert_near(what: &str, value: f64, expected: f64, deviation: f64) {
    assert!(
        (value - expected).abs() <= DEVIATIONS * deviation,
        "{what} is {value}, {:.1} deviations from {expected}",
        (value - expected).abs() / deviation
    );
}

#[test]
fn numbers_have_the_right_mean_variance_and_range() {
    let table = query(
        "SELECT COUNT(*) AS rows, \
         AVG(x) AS x_mean, VAR_SAMP(x) AS x_variance, MIN(x) AS x_min, MAX(x) AS x_max, \
         AVG(y) AS y_mean, VAR_SAMP(y) AS y_variance, MIN(y) AS y_min, MAX(y) AS y_max, \
         AVG(id) AS id_mean, VAR_SAMP(id) AS id_variance, MIN(id) AS id_min, MAX(id) AS id_max \
         FROM df",
    );
    let one = |column: &str| one(&table, column);
    let rows = one("rows");
    assert_eq!(rows, 31_449_600.0);

    // Uniform in [-1, 1): variance 1/3, fourth moment 1/5.
    for column in ["x", "y"] {
        let of = |statistic: &str| one(&format!("{column}_{statistic}"));
        assert_near(column, of("mean"), 0.0, (1.0 / 3.0 / rows).sqrt());
        let deviation = ((1.0 / 5.0 - 1.0 / 9.0) / rows).sqrt();
        assert_near(column, of("variance"), 1.0 / 3.0, deviation);
        // The distance of the extremes from the ends is exponential, with this
        // mean.
        let gap = 2.0 / rows;
        assert!((-1.0..-1.0 + 40.0 * gap).contains(&of("min")), "{column}");
        assert!((1.0 - 40.0 * gap..1.0).contains(&of("max")), "{column}");
    }

    // Poisson: the variance is the mean, the fourth central moment is
    // mean + 3 mean².
    let mean = 1000.0;
    assert_near("id", one("id_mean"), mean, (mean / rows).sqrt());
    let deviation = ((mean + 2.0 * mean * mean) / rows).sqrt();
    assert_near("variance of id", one("id_variance"), mean, deviation);
    // In 31 million draws the extremes lie between five and six deviations out,
    // with a tail that is longer above.
    let root = f64::sqrt(mean);
    assert!((4.8..6.2).contains(&((mean - one("id_min")) / root)));
    assert!((4.8..6.6).contains(&((one("id_max") - mean) / root)));
}

#[test]
fn columns_and_neighbours_are_independent() {
    let table = query(
        "WITH rows AS (\
           SELECT x, y, CAST(id AS DOUBLE) AS id, \
             LAG(x) OVER (ORDER BY timestamp) AS x_before \
           FROM df WHERE timestamp < TIMESTAMP '2000-02-27'\
         ) SELECT COUNT(*) AS rows, CORR(x, y) AS x_y, CORR(x, id) AS x_id, CORR(y, id) AS y_id, \
           CORR(x, x_before) AS x_x, CORR(y, x_before) AS y_x FROM rows",
    );
    let deviation = one(&table, "rows").powf(-0.5);
    for pair in ["x_y", "x_id", "y_id", "x_x", "y_x"] {
        assert_near(pair, one(&table, pair), 0.0, deviation);
    }
}

#[test]
fn names_are_equally_frequent_whatever_the_numbers() {
    let table = query(&format!(
        "SELECT name, CAST(FLOOR((x + 1) / 2 * {RANGES}) AS INT) AS range, COUNT(*) AS rows, \
         AVG(id) AS id FROM df GROUP BY 1, 2 ORDER BY 1, 2",
    ));
    let counts = table.floats("rows").expect("counts");
    let cells = NAMES * RANGES;
    assert_eq!(counts.len(), cells);

    // Chi-square over all cells: its mean is the degrees of freedom, its
    // variance twice that.
    let rows: f64 = counts.iter().sum();
    let expected = rows / cells as f64;
    let chi_square: f64 = counts
        .iter()
        .map(|count| (count - expected).powi(2) / expected)
        .sum();
    let freedom = cells as f64 - 1.0;
    assert_near("chi-square", chi_square, freedom, (2.0 * freedom).sqrt());

    for (id, count) in table.floats("id").expect("means").iter().zip(&counts) {
        assert_near("mean of id in a cell", *id, 1000.0, (1000.0 / count).sqrt());
    }
}
