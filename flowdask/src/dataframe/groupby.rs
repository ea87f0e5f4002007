//! Grouping: `df.groupby(["name"]).agg([sum("x"), max("y")])`, and aggregates of all rows.

mod shortcuts;

use std::collections::HashMap;

use datafusion::logical_expr::Expr;

use super::error::{Error, Result};
use super::frame::DataFrame;
use super::functions::{Aggregate, col};

/// A frame whose rows are grouped by the values of columns; [`DataFrame::groupby`] makes one.
#[derive(Debug, Clone)]
#[must_use = "a grouping does nothing before it is aggregated"]
pub struct GroupBy {
    frame: DataFrame,
    keys: Vec<String>,
}

impl DataFrame {
    /// Groups the rows by the values of columns.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{datasets, mean};
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let means = df.groupby(["name"]).agg([mean("x")])?;
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn groupby<K: Into<String>>(&self, keys: impl IntoIterator<Item = K>) -> GroupBy {
        GroupBy {
            frame: self.clone(),
            keys: keys.into_iter().map(Into::into).collect(),
        }
    }

    /// Aggregates of all rows: one row with a column per aggregate.
    ///
    /// # Errors
    ///
    /// An unknown column, no aggregate, or two columns that would have the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{datasets, max, mean};
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let table = df.agg([mean("x"), max("y")])?.compute_blocking()?;
    /// assert!(table.floats("x")?[0].abs() < 0.1);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn agg<A: Into<Aggregate>>(
        &self,
        aggregates: impl IntoIterator<Item = A>,
    ) -> Result<DataFrame> {
        let aggregates = aggregates.into_iter().map(Into::into).collect();
        aggregate(self, &[], aggregates)
    }
}

impl GroupBy {
    /// One row per group, in the order of the keys: the keys, then one column per aggregate.
    /// Rows without a key (null) are left out, as in Dask.
    ///
    /// # Errors
    ///
    /// An unknown column, no aggregate, or two columns that would have the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowdask::dataframe::{datasets, max, sum};
    ///
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let table = df.groupby(["name"]).agg([sum("x"), max("y")])?.compute_blocking()?;
    /// assert_eq!(table.num_rows(), 26);
    /// assert_eq!(table.column_names(), ["name", "x", "y"]);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn agg<A: Into<Aggregate>>(
        &self,
        aggregates: impl IntoIterator<Item = A>,
    ) -> Result<DataFrame> {
        if self.keys.is_empty() {
            return Err(Error::InvalidArgument {
                what: "`groupby` needs at least one column; `DataFrame::agg` aggregates all rows"
                    .to_owned(),
            });
        }
        let aggregates = aggregates.into_iter().map(Into::into).collect();
        aggregate(&self.frame, &self.keys, aggregates)
    }
}

/// The plan of an aggregation; without keys it has one row.
fn aggregate(frame: &DataFrame, keys: &[String], aggregates: Vec<Aggregate>) -> Result<DataFrame> {
    if aggregates.is_empty() {
        return Err(Error::InvalidArgument {
            what: "`agg` needs at least one aggregate, such as `sum(\"x\")`".to_owned(),
        });
    }
    let names: Vec<String> = keys.iter().cloned().chain(names(&aggregates)).collect();
    for (position, name) in names.iter().enumerate() {
        if names[..position].contains(name) {
            return Err(Error::DuplicateColumn { name: name.clone() });
        }
    }
    let key_columns: Vec<Expr> = keys
        .iter()
        .map(|key| frame.column(key))
        .collect::<Result<_>>()?;
    let present = key_columns
        .iter()
        .filter(|key| frame.nullable(key))
        .map(|key| key.clone().is_not_null())
        .reduce(Expr::and);
    let expressions = aggregates
        .into_iter()
        .zip(&names[keys.len()..])
        .map(|(aggregate, name)| aggregate.expr.alias(name));
    let order: Vec<_> = keys.iter().map(|key| col(key).sort(true, false)).collect();
    let plan = frame.build("agg", |mut plan| {
        if let Some(present) = present {
            plan = plan.filter(present)?;
        }
        plan = plan
            .aggregate(key_columns, expressions)?
            .project(names.iter().map(col))?;
        if order.is_empty() {
            Ok(plan)
        } else {
            plan.sort(order)
        }
    })?;
    Ok(frame.derive(plan, 1, false, keys.to_vec()))
}

/// The names of the aggregates' columns.
fn names(aggregates: &[Aggregate]) -> Vec<String> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for aggregate in aggregates
        .iter()
        .filter(|aggregate| aggregate.alias.is_none())
    {
        if let Some(column) = &aggregate.column {
            *uses.entry(column).or_default() += 1;
        }
    }
    let name = |aggregate: &Aggregate| match (&aggregate.alias, &aggregate.column) {
        (Some(alias), _) => alias.clone(),
        (None, Some(column)) if uses[column.as_str()] == 1 => column.clone(),
        (None, Some(column)) => format!("{column}_{}", aggregate.function),
        (None, None) => aggregate.expr.schema_name().to_string(),
    };
    aggregates.iter().map(name).collect()
}
