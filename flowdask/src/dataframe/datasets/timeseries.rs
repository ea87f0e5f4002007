//! `timeseries`: from dates and frequencies to a lazy frame, cut as Dask cuts it.

use std::sync::Arc;

use super::frequency::{Frequency, micros, parse_date};
use super::generator::{Generator, Span};
use crate::dataframe::error::{Error, Result};
use crate::dataframe::frame::DataFrame;

/// More partitions than this are a mistake in a frequency: each costs memory before it has a row.
const MOST_PARTITIONS: u64 = 1_000_000;
const MOST_ROWS: u64 = 1 << 48;

/// A random time series from `start` to `end`, as `dask.datasets.timeseries` makes it.
///
/// The frame has the columns `timestamp` (its index, microseconds without a time zone), `name` (one
/// of 26 first names), `id` (Poisson-distributed, mean 1,000), `x` and `y` (uniform in [-1, 1)).
/// There is one row per second and one partition per day unless [`Timeseries::freq`] and
/// [`Timeseries::partition_freq`] say otherwise. Nothing is made before the frame is computed.
///
/// Dates are `"2000"`, `"2000-01"`, `"2000-01-31"` or `"2000-01-31 23:59:59"`.
///
/// # Examples
///
/// ```
/// use flowdask::dataframe::datasets;
///
/// let df = datasets::timeseries("2000", "2005").partition_freq("2w").build()?;
/// assert_eq!(df.npartitions(), 130);
/// # Ok::<(), flowdask::dataframe::Error>(())
/// ```
pub fn timeseries(start: impl Into<String>, end: impl Into<String>) -> Timeseries {
    Timeseries {
        start: start.into(),
        end: end.into(),
        freq: "1s".into(),
        partition_freq: "1d".into(),
        seed: 0,
    }
}

/// A time series that is being described; [`timeseries`] starts one.
#[derive(Debug, Clone)]
#[must_use = "a time series is made by `build`"]
pub struct Timeseries {
    start: String,
    end: String,
    freq: String,
    partition_freq: String,
    seed: u64,
}

impl Timeseries {
    /// How far apart the rows are, as pandas writes it: `"1s"` (the default), `"100ms"`, `"1h"`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-03").freq("6h").build()?;
    /// assert_eq!(df.len_blocking()?, 8);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn freq(mut self, freq: impl Into<String>) -> Self {
        self.freq = freq.into();
        self
    }

    /// How much time one partition covers, as pandas writes it: `"1d"` (the default), `"2w"`
    /// (weeks end on Sundays), `"1ME"` (months).
    ///
    /// The series starts at the first cut that is not before `start` and ends before the last
    /// that is not after `end`, as in Dask.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000", "2001").partition_freq("4w").build()?;
    /// assert_eq!(df.npartitions(), 13);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn partition_freq(mut self, partition_freq: impl Into<String>) -> Self {
        self.partition_freq = partition_freq.into();
        self
    }

    /// Which random data to make, 0 unless it is set. The same seed gives the same rows, whatever
    /// the number of threads and however the series is cut.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let days = |seed| datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").seed(seed).build();
    /// let (one, other) = (days(1)?.compute_blocking()?, days(2)?.compute_blocking()?);
    /// assert_ne!(one.floats("x")?, other.floats("x")?);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The lazy frame.
    ///
    /// # Errors
    ///
    /// A date or frequency that is none, an end before the start, or a range in which no partition
    /// fits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{Error, datasets};
    /// let error = datasets::timeseries("2001", "2000").build().unwrap_err();
    /// assert!(matches!(error, Error::EndBeforeStart { .. }));
    /// ```
    pub fn build(self) -> Result<DataFrame> {
        let start = parse_date(&self.start)?;
        let end = parse_date(&self.end)?;
        let freq = Frequency::parse(&self.freq)?;
        let partition_freq = Frequency::parse(&self.partition_freq)?;
        if end < start {
            return Err(Error::EndBeforeStart {
                start: self.start,
                end: self.end,
            });
        }
        let limit = |text: &str, frequency: Frequency, most: u64, what: &str| {
            let count = frequency.estimate(micros(start), micros(end));
            if count <= most {
                return Ok(());
            }
            let reason = format!(
                "it cuts the time from {} to {} into {count} {what}; {most} are the most",
                self.start, self.end
            );
            Err(Error::InvalidFrequency {
                text: text.to_owned(),
                reason,
            })
        };
        limit(
            &self.partition_freq,
            partition_freq,
            MOST_PARTITIONS,
            "partitions",
        )?;
        limit(&self.freq, freq, MOST_ROWS, "rows")?;

        let cuts: Vec<_> = partition_freq.points(start, end).collect();
        if cuts.len() < 2 {
            return Err(Error::NoPartitions {
                start: self.start,
                end: self.end,
                partition_freq: self.partition_freq,
            });
        }
        let mut first_row = 0;
        let spans = cuts.windows(2).map(|cut| {
            let span = Span::new(first_row, cut[0], cut[1], freq);
            first_row += span.rows() as u64;
            span
        });
        let generator = Generator::new(self.seed, spans.collect());
        Ok(DataFrame::from_partitions(
            Arc::new(generator),
            vec!["timestamp".to_owned()],
        ))
    }
}
