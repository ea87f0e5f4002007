//! How a table prints: as pandas prints a frame.
//!
//! Numbers have up to six decimals, as many as the column needs; a column with very large or very
//! small numbers is written with exponents. The index stands left, its name on a line of its own.

use std::fmt;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::{cast, concat_batches};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use super::Table;

/// Longer tables are cut to their first and last rows.
const MOST_ROWS: usize = 60;
const EDGE_ROWS: usize = 5;
const DECIMALS: usize = 6;

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.num_rows();
        let cut = rows > MOST_ROWS;
        let shown = if cut {
            let mut parts = self.slice(0, EDGE_ROWS);
            parts.extend(self.slice(rows - EDGE_ROWS, EDGE_ROWS));
            concat_batches(&self.schema, &parts)
        } else {
            concat_batches(&self.schema, &self.batches)
        };
        let shown = shown.map_err(|_| fmt::Error)?;
        let (index, columns): (Vec<usize>, Vec<usize>) = (0..self.num_columns())
            .partition(|&column| self.index.contains(self.schema.field(column).name()));

        let mut printed: Vec<Column> = Vec::new();
        if index.is_empty() {
            let numbers = (0..shown.num_rows()).map(|row| {
                if cut && row >= EDGE_ROWS {
                    rows - 2 * EDGE_ROWS + row
                } else {
                    row
                }
            });
            printed.push(Column {
                header: String::new(),
                cells: numbers.map(|row| row.to_string()).collect(),
                left: true,
            });
        }
        for (position, column) in index.iter().chain(&columns).enumerate() {
            let header = self.schema.field(*column).name();
            let is_index = position < index.len();
            let cells = cells(shown.column(*column)).ok_or(fmt::Error)?;
            printed.push(Column {
                header: header.clone(),
                cells,
                left: is_index,
            });
        }
        let named_index = index
            .iter()
            .any(|column| !self.schema.field(*column).name().is_empty());
        write_columns(f, &printed, named_index, cut)?;
        if cut {
            write!(f, "\n\n[{rows} rows x {} columns]", columns.len())?;
        }
        Ok(())
    }
}

impl Table {
    /// So many rows from `first` on.
    fn slice(&self, first: usize, count: usize) -> Vec<RecordBatch> {
        let mut parts = Vec::new();
        let (mut skip, mut left) = (first, count);
        for batch in &self.batches {
            if skip >= batch.num_rows() {
                skip -= batch.num_rows();
                continue;
            }
            let taken = left.min(batch.num_rows() - skip);
            parts.push(batch.slice(skip, taken));
            skip = 0;
            left -= taken;
            if left == 0 {
                break;
            }
        }
        parts
    }
}

struct Column {
    header: String,
    cells: Vec<String>,
    left: bool,
}

fn write_columns(
    f: &mut fmt::Formatter<'_>,
    columns: &[Column],
    named_index: bool,
    cut: bool,
) -> fmt::Result {
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let width = |column: &Column| {
        let cells = column.cells.iter().chain([&column.header]);
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(if cut { 3 } else { 0 })
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |f: &mut fmt::Formatter<'_>, cell: &dyn Fn(&Column) -> String| {
        let mut text = String::new();
        for (position, (column, width)) in columns.iter().zip(&widths).enumerate() {
            if position > 0 {
                text.push_str("  ");
            }
            let cell = cell(column);
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column.left {
                text.push_str(&cell);
                text.push_str(&padding);
            } else {
                text.push_str(&padding);
                text.push_str(&cell);
            }
        }
        f.write_str(text.trim_end())
    };
    line(f, &|column| {
        if column.left {
            String::new()
        } else {
            column.header.clone()
        }
    })?;
    if named_index {
        writeln!(f)?;
        line(f, &|column| {
            if column.left {
                column.header.clone()
            } else {
                String::new()
            }
        })?;
    }
    for row in 0..rows {
        if cut && row == EDGE_ROWS {
            writeln!(f)?;
            line(f, &|_| "...".to_owned())?;
        }
        writeln!(f)?;
        line(f, &|column| column.cells[row].clone())?;
    }
    Ok(())
}

fn cells(column: &ArrayRef) -> Option<Vec<String>> {
    if column.data_type().is_floating() {
        let column = cast(column, &DataType::Float64).ok()?;
        let values: Vec<Option<f64>> = column.as_primitive::<Float64Type>().iter().collect();
        return Some(floats(&values));
    }
    let options = FormatOptions::new()
        .with_null("NaN")
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options).ok()?;
    (0..column.len())
        .map(|row| formatter.value(row).try_to_string().ok())
        .collect()
}

/// A column of floating-point numbers by pandas' rules.
fn floats(values: &[Option<f64>]) -> Vec<String> {
    let finite = || {
        values
            .iter()
            .flatten()
            .copied()
            .filter(|value| value.is_finite())
    };
    let fixed = |decimals: usize| format_all(values, |value| format!("{value:.decimals$}"));
    let needed = finite().map(decimals_needed).max().unwrap_or(1);
    let plain = fixed(needed);
    let longest = plain.iter().map(String::len).max().unwrap_or(0);
    let large = finite().any(|value| value.abs() > 1e6);
    let small = finite().any(|value| value != 0.0 && value.abs() < 1e-6);
    if small || (large && longest >= DECIMALS + 6) {
        return format_all(values, exponential);
    }
    plain
}

fn format_all(values: &[Option<f64>], format: impl Fn(f64) -> String) -> Vec<String> {
    let one = |value: &Option<f64>| match value {
        Some(value) if value.is_finite() => format(*value),
        Some(value) if value.is_infinite() => {
            if *value > 0.0 {
                "inf".to_owned()
            } else {
                "-inf".to_owned()
            }
        }
        _ => "NaN".to_owned(),
    };
    values.iter().map(one).collect()
}

/// How many of six decimals are not zeros at the end; at least one.
fn decimals_needed(value: f64) -> usize {
    let text = format!("{value:.DECIMALS$}");
    let zeros = text.bytes().rev().take_while(|byte| *byte == b'0').count();
    (DECIMALS - zeros.min(DECIMALS)).max(1)
}

/// `1.572480e+08`, with the sign and the two digits that Rust's form does not have.
fn exponential(value: f64) -> String {
    let text = format!("{value:.DECIMALS$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}
