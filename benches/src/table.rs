//! Tables in Markdown, so that a run can be pasted into the documentation.

use std::fmt;

/// A table; all columns but the first are aligned to the right.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<const COLUMNS: usize>(columns: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![columns.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    ///
    /// If it has not as many cells as there are columns.
    pub fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        assert_eq!(COLUMNS, self.rows[0].len(), "cells of a row");
        self.rows.push(cells.into());
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.rows[0].len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.max().unwrap_or_default()
            })
            .collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if column == 0 {
                    write!(formatter, "| {cell:<width$} ")?;
                } else {
                    write!(formatter, "| {cell:>width$} ")?;
                }
            }
            writeln!(formatter, "|")?;
            if index == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width + 1);
                    let end = if column == 0 { "-" } else { ":" };
                    write!(formatter, "|{dashes}{end}")?;
                }
                writeln!(formatter, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn it_is_markdown() {
        let mut table = Table::new(["what", "ns"]);
        table.row(["a task".to_owned(), "700".to_owned()]);
        assert_eq!(
            table.to_string(),
            "| what   |  ns |\n|--------|----:|\n| a task | 700 |\n"
        );
    }
}
