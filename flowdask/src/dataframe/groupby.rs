//! Grouping: `df.groupby(["name"]).agg([sum("x"), max("y")])`.

use std::collections::HashMap;

use datafusion::logical_expr::{Expr, LogicalPlanBuilder};

use super::error::{Error, Result};
use super::frame::DataFrame;
use super::functions::{Aggregate, col};

/// A frame whose rows are grouped by the values of columns; [`DataFrame::groupby`] makes one.
#[derive(Debug, Clone)]
#[must_use = "a grouping does nothing before it is aggregated"]
pub struct GroupBy {
    pub(crate) frame: DataFrame,
    pub(crate) keys: Vec<String>,
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
        let aggregates: Vec<Aggregate> = aggregates.into_iter().map(Into::into).collect();
        let names = names(&aggregates);
        for (index, name) in names.iter().enumerate() {
            if self.keys.contains(name) || names[..index].contains(name) {
                return Err(Error::DuplicateColumn { name: name.clone() });
            }
        }
        let keys: Vec<Expr> = self
            .keys
            .iter()
            .map(|key| self.frame.column(key))
            .collect::<Result<_>>()?;
        let present = keys
            .iter()
            .filter(|key| self.frame.nullable(key))
            .map(|key| key.clone().is_not_null());
        let mut plan = LogicalPlanBuilder::from(self.frame.plan().clone());
        if let Some(present) = present.reduce(Expr::and) {
            plan = plan
                .filter(present)
                .map_err(|error| Error::plan("groupby", error))?;
        }
        let expressions = aggregates
            .into_iter()
            .zip(&names)
            .map(|(aggregate, name)| aggregate.expr.alias(name));
        let columns = self.keys.iter().chain(&names).map(col);
        let order = self.keys.iter().map(|key| col(key).sort(true, false));
        let plan = plan
            .aggregate(keys, expressions)
            .and_then(|plan| plan.project(columns))
            .and_then(|plan| plan.sort(order))
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| Error::plan("agg", error))?;
        Ok(self.frame.derive(plan, 1, false, self.keys.clone()))
    }
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
