//! Joining two frames on columns of the same names.

use datafusion::common::JoinType;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::error::{Error, Result};
use super::frame::DataFrame;
use super::functions::col;

/// Which rows a join keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// Those with a partner on the other side.
    Inner,
    /// All of the left side.
    Left,
    /// All of the right side.
    Right,
    /// All of both sides.
    Outer,
}

impl DataFrame {
    /// Joins the rows of two frames whose values in the columns `on` are equal, as `merge` of pandas.
    ///
    /// The result has the columns `on`, then the others of the left and of the right frame; a name
    /// that both have gets `_x` on the left and `_y` on the right.
    ///
    /// # Errors
    ///
    /// A column of `on` that one of the frames does not have, no column, or columns of types that
    /// cannot be compared.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowdask::dataframe::{How, datasets, max, mean};
    ///
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let means = df.groupby(["name"]).agg([mean("x")])?;
    /// let greatest = df.groupby(["name"]).agg([max("x")])?;
    /// let both = means.join(&greatest, ["name"], How::Inner)?;
    /// assert_eq!(both.columns(), ["name", "x_x", "x_y"]);
    /// assert_eq!(both.len_blocking()?, 26);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn join<K: Into<String>>(
        &self,
        right: &DataFrame,
        on: impl IntoIterator<Item = K>,
        how: How,
    ) -> Result<DataFrame> {
        let on: Vec<String> = on.into_iter().map(Into::into).collect();
        if on.is_empty() {
            return Err(Error::InvalidArgument {
                what: "`join` needs at least one column to join on".to_owned(),
            });
        }
        for key in &on {
            self.column(key)?;
            right.column(key)?;
        }
        let (left_names, right_names) = (self.columns(), right.columns());
        // Inside of the join every column has a name of its own.
        let place = |side: char, number: usize| format!("{side}{number}");
        let numbered = |frame: &DataFrame, side: char| -> datafusion::error::Result<LogicalPlan> {
            let columns = frame.columns().into_iter().enumerate();
            let columns = columns.map(|(number, name)| col(name).alias(place(side, number)));
            LogicalPlanBuilder::from(frame.plan().clone())
                .project(columns)?
                .alias(side.to_string())?
                .build()
        };
        let position = |names: &[String], name: &String| {
            names.iter().position(|other| other == name).unwrap_or(0)
        };
        let left_key = |key: &String| place('l', position(&left_names, key));
        let right_key = |key: &String| place('r', position(&right_names, key));

        let mut columns: Vec<Expr> = Vec::new();
        for key in &on {
            let (left, right) = (col(left_key(key)), col(right_key(key)));
            let value = match how {
                How::Inner | How::Left => left,
                How::Right => right,
                How::Outer => coalesce(vec![left, right]),
            };
            columns.push(value.alias(key));
        }
        for (side, own, others, suffix) in [
            ('l', &left_names, &right_names, "_x"),
            ('r', &right_names, &left_names, "_y"),
        ] {
            for (number, name) in own
                .iter()
                .enumerate()
                .filter(|(_, name)| !on.contains(name))
            {
                let shared = others.contains(name);
                let name = if shared {
                    format!("{name}{suffix}")
                } else {
                    name.clone()
                };
                columns.push(col(place(side, number)).alias(name));
            }
        }
        let names: Vec<String> = columns
            .iter()
            .map(|column| column.qualified_name().1)
            .collect();
        if let Some((_, name)) = names
            .iter()
            .enumerate()
            .find(|(number, name)| names[..*number].contains(name))
        {
            return Err(Error::DuplicateColumn { name: name.clone() });
        }

        let kind = match how {
            How::Inner => JoinType::Inner,
            How::Left => JoinType::Left,
            How::Right => JoinType::Right,
            How::Outer => JoinType::Full,
        };
        let keys = (
            on.iter().map(left_key).collect::<Vec<_>>(),
            on.iter().map(right_key).collect::<Vec<_>>(),
        );
        let plan = numbered(self, 'l')
            .and_then(|left| {
                LogicalPlanBuilder::from(left).join(numbered(right, 'r')?, kind, keys, None)
            })
            .and_then(|plan| plan.project(columns))
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| Error::plan("join", error))?;
        let npartitions = self.npartitions().max(right.npartitions());
        let index = self
            .index()
            .iter()
            .filter(|name| names.contains(name))
            .cloned()
            .collect();
        Ok(self
            .derive(plan, npartitions, false, index)
            .with_files_of(right))
    }
}
