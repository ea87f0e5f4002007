//! Tables in Markdown, so that a run can be pasted into the documentation.

use std::fmt;

/// A table: the first column says what is measured, the others hold figures.
#[derive(Debug, Clone)]
pub struct Table<const FIGURES: usize> {
    rows: Vec<(String, [String; FIGURES])>,
}

impl<const FIGURES: usize> Table<FIGURES> {
    /// A table with these heads.
    #[must_use]
    pub fn new(what: &str, figures: [&str; FIGURES]) -> Self {
        Self {
            rows: vec![(what.to_owned(), figures.map(str::to_owned))],
        }
    }

    /// Adds a row.
    pub fn row(&mut self, what: impl fmt::Display, figures: [String; FIGURES]) {
        self.rows.push((what.to_string(), figures));
    }
}

impl<const FIGURES: usize> fmt::Display for Table<FIGURES> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = width(self.rows.iter().map(|(what, _)| what));
        let widths: [usize; FIGURES] = std::array::from_fn(|column| {
            width(self.rows.iter().map(|(_, figures)| &figures[column]))
        });
        for (index, (what, figures)) in self.rows.iter().enumerate() {
            write!(formatter, "| {what:<first$} |")?;
            for (figure, &width) in figures.iter().zip(&widths) {
                write!(formatter, " {figure:>width$} |")?;
            }
            writeln!(formatter)?;
            if index == 0 {
                write!(formatter, "|{}|", "-".repeat(first + 2))?;
                for width in widths {
                    write!(formatter, "{}:|", "-".repeat(width + 1))?;
                }
                writeln!(formatter)?;
            }
        }
        Ok(())
    }
}

fn width<'a>(cells: impl Iterator<Item = &'a String>) -> usize {
    cells
        .map(|cell| cell.chars().count())
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn it_is_markdown() {
        let mut table = Table::new("what", ["ns"]);
        table.row("a task", ["700".to_owned()]);
        assert_eq!(
            table.to_string(),
            "| what   |  ns |\n|--------|----:|\n| a task | 700 |\n"
        );
    }
}
