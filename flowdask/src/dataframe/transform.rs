//! Rows and columns of one frame: `filter`, `select`, `with_column` and their kin.

use std::collections::HashMap;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::error::{Error, Result};
use super::frame::DataFrame;
use super::functions::{IntoColumn, SortKey, col, count};

impl DataFrame {
    /// The rows for which a condition holds.
    ///
    /// # Errors
    ///
    /// An unknown column, or a condition that is none.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{col, datasets, lit};
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let alice = df.filter(col("name").eq(lit("Alice")).and(col("id").gt(lit(1000))))?;
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn filter(&self, condition: Expr) -> Result<DataFrame> {
        let plan = self.build("filter", |plan| plan.filter(condition))?;
        Ok(self.derive_blockwise(plan))
    }

    /// The given columns, by name or as expressions.
    ///
    /// # Errors
    ///
    /// An unknown column, or two columns of the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// assert_eq!(df.select(["x", "y"])?.columns(), ["x", "y"]);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn select<C: IntoColumn>(&self, columns: impl IntoIterator<Item = C>) -> Result<DataFrame> {
        let columns: Vec<Expr> = columns.into_iter().map(IntoColumn::into_column).collect();
        if columns.is_empty() {
            return Err(Error::InvalidArgument {
                what: "`select` needs at least one column".to_owned(),
            });
        }
        self.project("select", columns)
    }

    /// The frame with a column more, or with a column replaced if there is one of that name.
    ///
    /// # Errors
    ///
    /// An unknown column in the expression.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{col, datasets};
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let df = df.with_column("sum", col("x") + col("y"))?;
    /// assert_eq!(df.columns().last().unwrap(), "sum");
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn with_column(&self, name: impl Into<String>, value: Expr) -> Result<DataFrame> {
        let name = name.into();
        let names = self.columns();
        let is_new = !names.contains(&name);
        let value = value.alias(&name);
        let mut columns: Vec<Expr> = names
            .iter()
            .map(|column| {
                if *column == name {
                    value.clone()
                } else {
                    col(column)
                }
            })
            .collect();
        if is_new {
            columns.push(value);
        }
        self.project("with_column", columns)
    }

    /// The frame with columns renamed.
    ///
    /// # Errors
    ///
    /// An unknown column, or two columns of the same name.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let df = df.rename([("x", "width"), ("y", "height")])?;
    /// assert_eq!(df.columns(), ["timestamp", "name", "id", "width", "height"]);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn rename<O: Into<String>, N: Into<String>>(
        &self,
        names: impl IntoIterator<Item = (O, N)>,
    ) -> Result<DataFrame> {
        let new: HashMap<String, String> = names
            .into_iter()
            .map(|(old, new)| (old.into(), new.into()))
            .collect();
        for old in new.keys() {
            self.column(old)?;
        }
        let columns = self.columns().into_iter().map(|name| match new.get(&name) {
            Some(new) => col(&name).alias(new),
            None => col(&name),
        });
        self.project("rename", columns.collect())
    }

    /// The frame without some columns.
    ///
    /// # Errors
    ///
    /// An unknown column, or no column left.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// assert_eq!(df.drop(["id", "timestamp"])?.columns(), ["name", "x", "y"]);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn drop<C: Into<String>>(&self, columns: impl IntoIterator<Item = C>) -> Result<DataFrame> {
        let dropped: Vec<String> = columns.into_iter().map(Into::into).collect();
        for name in &dropped {
            self.column(name)?;
        }
        self.select(
            self.columns()
                .into_iter()
                .filter(|name| !dropped.contains(name)),
        )
    }

    /// The rows in the order of columns; missing values last. The result is one partition.
    ///
    /// # Errors
    ///
    /// An unknown column, or no column.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{asc, datasets, desc};
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").build()?;
    /// let by_x = df.sort(["x"])?.compute_blocking()?.floats("x")?;
    /// assert!(by_x.is_sorted());
    /// let by_name = df.sort([asc("name"), desc("id")])?;
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn sort<K: Into<SortKey>>(&self, keys: impl IntoIterator<Item = K>) -> Result<DataFrame> {
        let keys: Vec<SortKey> = keys.into_iter().map(Into::into).collect();
        if keys.is_empty() {
            return Err(Error::InvalidArgument {
                what: "`sort` needs at least one column".to_owned(),
            });
        }
        let plan = self.build("sort", |plan| {
            plan.sort(keys.into_iter().map(SortKey::into_sort))
        })?;
        Ok(self.derive(plan, 1, false, self.index().to_vec()))
    }

    /// How often each value of a column occurs, the most frequent first.
    ///
    /// # Errors
    ///
    /// An unknown column.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let counts = df.value_counts("name")?.compute_blocking()?.integers("count")?;
    /// assert_eq!(counts.iter().sum::<i64>(), 86_400);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn value_counts(&self, column: &str) -> Result<DataFrame> {
        self.groupby([column])
            .agg([count(column).alias("count")])?
            .sort([
                SortKey::new(col("count"), false),
                SortKey::new(col(column), true),
            ])
    }

    /// The different rows, each once, in no particular order.
    ///
    /// # Errors
    ///
    /// None that a frame with columns can have.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// assert_eq!(df.select(["name"])?.drop_duplicates()?.len_blocking()?, 26);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn drop_duplicates(&self) -> Result<DataFrame> {
        let plan = self.build("drop_duplicates", LogicalPlanBuilder::distinct)?;
        Ok(self.derive(plan, 1, false, self.index().to_vec()))
    }

    fn project(&self, operation: &'static str, columns: Vec<Expr>) -> Result<DataFrame> {
        let mut seen = Vec::with_capacity(columns.len());
        for column in &columns {
            let name = column.qualified_name().1;
            if seen.contains(&name) {
                return Err(Error::DuplicateColumn { name });
            }
            seen.push(name);
        }
        // DataFusion takes two neighbouring projections with the same expressions for one, although
        // `x + 1 as x` twice is not the same as once. Under a name of its own each is another.
        let below = format!("step{}", self.steps());
        let plan = self.build(operation, |plan| plan.alias(below)?.project(columns))?;
        Ok(self.derive_blockwise(plan))
    }

    /// How many frames this one is made from in a row.
    fn steps(&self) -> usize {
        let mut steps = 0;
        let mut plan = self.plan();
        while let [input] = plan.inputs()[..] {
            steps += 1;
            plan = input;
        }
        steps
    }

    /// Adds to this frame's plan.
    pub(crate) fn build(
        &self,
        operation: &'static str,
        add: impl FnOnce(LogicalPlanBuilder) -> datafusion::error::Result<LogicalPlanBuilder>,
    ) -> Result<LogicalPlan> {
        add(LogicalPlanBuilder::from(self.plan().clone()))
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| Error::plan(operation, error))
    }
}
