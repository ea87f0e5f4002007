//! What can go wrong with a data frame: one enum for all of it.
//!
//! Each message names the thing that is wrong and, where there is one, the cure. Causes are kept
//! as sources and never repeated in the message of the error that holds them.

use std::fmt;
use std::path::PathBuf;

use datafusion::error::DataFusionError;

/// The result of an operation on a data frame.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a data frame failed.
///
/// # Examples
///
/// ```
/// use flowdask::dataframe::{Error, datasets};
///
/// let error = datasets::timeseries("2000", "not a date").build().unwrap_err();
/// assert!(matches!(error, Error::InvalidDate { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text was given as a date and is none.
    #[error(
        "{text:?} is not a date: write it as \"2000\", \"2000-01\", \"2000-01-31\" or \"2000-01-31 23:59:59\""
    )]
    InvalidDate {
        /// The text as it was given.
        text: String,
    },

    /// A time series ends before it starts.
    #[error("the time series ends ({end}) before it starts ({start}): swap the two dates")]
    EndBeforeStart {
        /// The start as it was given.
        start: String,
        /// The end as it was given.
        end: String,
    },

    /// A text was given as a frequency and is none.
    #[error("{text:?} is not a frequency: {reason}")]
    InvalidFrequency {
        /// The text as it was given.
        text: String,
        /// What is wrong with it, and what it may be.
        reason: String,
    },

    /// A time series has no partition, because no two cuts lie between its dates.
    #[error(
        "nothing lies between {start} and {end}: a partition of {partition_freq:?} needs two cuts \
         in that range; choose a later end or a shorter partition_freq"
    )]
    NoPartitions {
        /// The start as it was given.
        start: String,
        /// The end as it was given.
        end: String,
        /// The frequency of partitions as it was given.
        partition_freq: String,
    },

    /// A column was named that the frame does not have.
    #[error("there is no column {name:?}{}", Suggestion { near, available })]
    UnknownColumn {
        /// The name as it was given.
        name: String,
        /// Names of columns that are close to it, the closest first.
        near: Vec<String>,
        /// The names of all columns.
        available: Vec<String>,
    },

    /// Two columns of a result would have the same name.
    #[error("two columns would be called {name:?}: give one of them another name with `alias`")]
    DuplicateColumn {
        /// The name that occurs twice.
        name: String,
    },

    /// A column has a type that an operation or accessor cannot use.
    #[error("column {name:?} holds {found}, not {wanted}")]
    ColumnType {
        /// The name of the column.
        name: String,
        /// What the operation can use.
        wanted: &'static str,
        /// The type that the column has.
        found: String,
    },

    /// A number or list is outside of what an operation accepts.
    #[error("{what}")]
    InvalidArgument {
        /// What is wrong, and what would be right.
        what: String,
    },

    /// No file matches.
    #[error(
        "no file matches {pattern:?}: check the path; globs such as \"data/*.parquet\" are understood"
    )]
    NoFiles {
        /// The path or pattern as it was given.
        pattern: String,
    },

    /// A file cannot be read, or is not what it should be.
    #[error("cannot read {} as {format}: it is missing, cut off or of another format", path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// The format it was read as.
        format: &'static str,
        /// What the reader says.
        #[source]
        source: Box<DataFusionError>,
    },

    /// Files that are read as one frame have columns that do not go together.
    #[error(
        "the columns of {} do not fit those of the files before it: read files of different columns \
         one by one and join them, or make them alike",
        path.display()
    )]
    ColumnsDiffer {
        /// The first file that does not fit.
        path: PathBuf,
        /// What does not fit.
        #[source]
        source: Box<datafusion::arrow::error::ArrowError>,
    },

    /// A file or directory cannot be written.
    #[error("cannot write {}: check that the directory exists, may be written and has room", path.display())]
    Write {
        /// The directory or file.
        path: PathBuf,
        /// What the writer says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The memory does not suffice to persist a frame.
    #[error(
        "persisting {rows} rows needs {} of memory and {} are available: select fewer columns or \
         rows first, or compute without persisting",
        Bytes(*needed), Bytes(*available)
    )]
    NotEnoughMemory {
        /// How many rows are to be kept.
        rows: u64,
        /// How many bytes they need.
        needed: u64,
        /// How many bytes are available, or may be used.
        available: u64,
    },

    /// A directory that is to be written to has files of an earlier frame.
    #[error("{} has Parquet files already: write to an empty directory, or remove them first", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },

    /// A query in SQL is wrong.
    #[error("the SQL query cannot be planned")]
    Sql {
        /// What the planner says.
        #[source]
        source: Box<DataFusionError>,
    },

    /// An expression or operation does not fit the frame, for example in its types.
    #[error("the operation `{operation}` cannot be planned")]
    Plan {
        /// The operation.
        operation: &'static str,
        /// What the planner says.
        #[source]
        source: Box<DataFusionError>,
    },

    /// The computation failed while it ran.
    #[error("the computation failed")]
    Compute {
        /// What the engine says.
        #[source]
        source: Box<DataFusionError>,
    },

    /// The computation panicked; the process lives on.
    #[error("the computation panicked: {message}")]
    Panicked {
        /// The message of the panic.
        message: String,
    },

    /// The computation was stopped before it was finished.
    #[error("the computation was stopped before it was finished")]
    Stopped,

    /// The engine's threads could not be started.
    #[error("the threads that compute could not be started")]
    Start {
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },

    /// The rows of a table do not fit the type they are to be read as.
    #[error("the rows of the table do not fit {wanted}")]
    Rows {
        /// The type that was asked for.
        wanted: &'static str,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
}

impl Error {
    /// An error of the planner, as what it is about: a column that is not there, or else `operation`.
    pub(crate) fn plan(operation: &'static str, source: DataFusionError) -> Self {
        Error::from_planner(source, |source| Error::Plan { operation, source })
    }

    pub(crate) fn sql(source: DataFusionError) -> Self {
        Error::from_planner(source, |source| Error::Sql { source })
    }

    fn from_planner(
        source: DataFusionError,
        other: impl FnOnce(Box<DataFusionError>) -> Self,
    ) -> Self {
        use datafusion::common::SchemaError;
        if let DataFusionError::SchemaError(error, _) = source.find_root() {
            match error.as_ref() {
                SchemaError::FieldNotFound {
                    field,
                    valid_fields,
                } => {
                    let available = valid_fields
                        .iter()
                        .map(|field| field.name.clone())
                        .collect();
                    return Error::unknown_column(&field.name, available);
                }
                SchemaError::DuplicateUnqualifiedField { name } => {
                    return Error::DuplicateColumn { name: name.clone() };
                }
                _ => {}
            }
        }
        other(Box::new(source))
    }

    pub(crate) fn compute(source: DataFusionError) -> Self {
        // An error of ours that travelled through the engine comes back as itself.
        match source {
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(error) => *error,
                Err(inner) => Error::Compute {
                    source: Box::new(DataFusionError::External(inner)),
                },
            },
            source => Error::Compute {
                source: Box::new(source),
            },
        }
    }

    pub(crate) fn unknown_column(name: &str, available: Vec<String>) -> Self {
        let near = nearest(name, &available);
        Error::UnknownColumn {
            name: name.to_owned(),
            near,
            available,
        }
    }
}

/// The candidates that are within a few typing mistakes of `name`, the closest first.
fn nearest(name: &str, candidates: &[String]) -> Vec<String> {
    let lower = name.to_lowercase();
    let limit = (lower.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &String)> = candidates
        .iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let distance = edit_distance(&lower, &other);
            let related = other.len() >= 3
                && lower.len() >= 3
                && (other.contains(&lower) || lower.contains(&other));
            (distance <= limit || related).then_some((distance, candidate))
        })
        .collect();
    near.sort();
    near.into_iter()
        .take(3)
        .map(|(_, candidate)| candidate.clone())
        .collect()
}

/// Levenshtein's distance, a swap of neighbours counting as one.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(100).collect();
    let right: Vec<char> = right.chars().take(100).collect();
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let substitution = usize::from(left[i - 1] != right[j - 1]);
            let mut cell = (rows[i - 1][j] + 1)
                .min(rows[i][j - 1] + 1)
                .min(rows[i - 1][j - 1] + substitution);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                cell = cell.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = cell;
        }
    }
    rows[left.len()][right.len()]
}

struct Suggestion<'a> {
    near: &'a [String],
    available: &'a [String],
}

impl fmt::Display for Suggestion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.near.is_empty() {
            write!(f, ": did you mean {}?", quoted(self.near))
        } else if self.available.is_empty() {
            write!(f, ": the frame has no columns")
        } else if self.available.len() <= 20 {
            write!(f, ": the columns are {}", quoted(self.available))
        } else {
            write!(
                f,
                ": the first of {} columns are {}",
                self.available.len(),
                quoted(&self.available[..20])
            )
        }
    }
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A number of bytes as a person reads it.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1024.0 && unit < UNITS.len() - 1 {
            value /= 1024.0;
            unit += 1;
        }
        if unit == 0 {
            write!(f, "{value} B")
        } else {
            write!(f, "{value:.2} {}", UNITS[unit])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        let columns: Vec<String> = ["timestamp", "name", "id", "x", "y"]
            .map(String::from)
            .to_vec();
        assert_eq!(nearest("nmae", &columns), ["name"]);
        assert_eq!(nearest("Name", &columns), ["name"]);
        assert_eq!(nearest("time", &columns), ["timestamp"]);
        assert!(nearest("salary", &columns).is_empty());
    }

    #[test]
    fn an_unknown_column_says_what_there_is() {
        let columns = vec!["x".to_owned(), "y".to_owned()];
        let text = Error::unknown_column("salary", columns).to_string();
        assert_eq!(
            text,
            "there is no column \"salary\": the columns are \"x\", \"y\""
        );
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(Bytes(17).to_string(), "17 B");
        assert_eq!(Bytes(5 << 30).to_string(), "5.00 GiB");
    }
}
