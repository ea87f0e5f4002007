//! Columns and aggregates by name: what goes into `filter`, `select`, `with_column` and `agg`.
//!
//! A name is a column's name as it is: no case folding and no SQL syntax in it.

use datafusion::functions_aggregate::expr_fn;
use datafusion::logical_expr::Expr;

/// The column of that name.
///
/// # Examples
///
/// ```
/// use flowdask::dataframe::{col, datasets, lit};
///
/// let df = datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").build()?;
/// let positive = df.filter(col("x").gt(lit(0.0)))?;
/// assert!(positive.len_blocking()? < 24);
/// # Ok::<(), flowdask::dataframe::Error>(())
/// ```
pub fn col(name: impl Into<String>) -> Expr {
    datafusion::prelude::ident(name)
}

/// What names a column: its name, or an expression over columns.
pub trait IntoColumn {
    /// The column as an expression.
    fn into_column(self) -> Expr;
}

impl IntoColumn for &str {
    fn into_column(self) -> Expr {
        col(self)
    }
}

impl IntoColumn for String {
    fn into_column(self) -> Expr {
        col(self)
    }
}

impl IntoColumn for &String {
    fn into_column(self) -> Expr {
        col(self.as_str())
    }
}

impl IntoColumn for Expr {
    fn into_column(self) -> Expr {
        self
    }
}

/// One value per group: what [`GroupBy::agg`](super::GroupBy::agg) takes.
///
/// Its column is called like the column that it aggregates, as in Dask; if several aggregates are
/// of one column, each has its function's name appended (`x_min`, `x_max`). [`Aggregate::alias`]
/// sets another name.
#[derive(Debug, Clone)]
#[must_use = "an aggregate does nothing before a frame computes it"]
pub struct Aggregate {
    pub(crate) expr: Expr,
    pub(crate) column: Option<String>,
    pub(crate) function: &'static str,
    pub(crate) alias: Option<String>,
}

impl Aggregate {
    pub(crate) fn new(
        function: &'static str,
        column: Expr,
        make: impl FnOnce(Expr) -> Expr,
    ) -> Self {
        let name = match &column {
            Expr::Column(column) => Some(column.name.clone()),
            Expr::Alias(alias) => Some(alias.name.clone()),
            _ => None,
        };
        Aggregate {
            expr: make(column.unalias()),
            column: name,
            function,
            alias: None,
        }
    }

    /// The same aggregate, its column called `name`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::{datasets, sum};
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").build()?;
    /// let table = df.groupby(["name"]).agg([sum("x").alias("total")])?.compute_blocking()?;
    /// assert_eq!(table.column_names(), ["name", "total"]);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn alias(mut self, name: impl Into<String>) -> Self {
        self.alias = Some(name.into());
        self
    }
}

impl From<Expr> for Aggregate {
    /// Any aggregate expression of DataFusion's.
    fn from(expr: Expr) -> Self {
        match expr {
            Expr::Alias(alias) => Aggregate {
                expr: *alias.expr,
                column: None,
                function: "",
                alias: Some(alias.name),
            },
            expr => Aggregate {
                expr,
                column: None,
                function: "",
                alias: None,
            },
        }
    }
}

/// The sum of a column.
pub fn sum(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("sum", column.into_column(), expr_fn::sum)
}

/// The mean of a column.
pub fn mean(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("mean", column.into_column(), expr_fn::avg)
}

/// The least value of a column.
pub fn min(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("min", column.into_column(), expr_fn::min)
}

/// The greatest value of a column.
pub fn max(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("max", column.into_column(), expr_fn::max)
}

/// How many values of a column are there (not null).
pub fn count(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("count", column.into_column(), expr_fn::count)
}

/// The standard deviation of a column, as of a sample.
pub fn std(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("std", column.into_column(), expr_fn::stddev)
}

/// The variance of a column, as of a sample.
pub fn var(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("var", column.into_column(), expr_fn::var_sample)
}

/// How many different values a column has.
pub fn nunique(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("nunique", column.into_column(), expr_fn::count_distinct)
}

/// The value below which the share `q` (from 0 to 1) of a column's numbers lies: exact up to half a
/// million numbers per group, beyond that within 0.5 % of the rank.
pub fn quantile(column: impl IntoColumn, q: f64) -> Aggregate {
    Aggregate::new("quantile", column.into_column(), |column| {
        super::aggregates::quantile(column, q)
    })
}

/// The middle value of a column: [`quantile`] of one half.
pub fn median(column: impl IntoColumn) -> Aggregate {
    Aggregate::new("median", column.into_column(), |column| {
        super::aggregates::quantile(column, 0.5)
    })
}

/// A column to sort by, and in which direction; a bare name is ascending.
#[derive(Debug, Clone)]
pub struct SortKey {
    column: Expr,
    ascending: bool,
}

impl SortKey {
    pub(crate) fn new(column: Expr, ascending: bool) -> Self {
        SortKey { column, ascending }
    }

    pub(crate) fn into_sort(self) -> datafusion::logical_expr::SortExpr {
        self.column.sort(self.ascending, false)
    }
}

impl<C: IntoColumn> From<C> for SortKey {
    fn from(column: C) -> Self {
        SortKey::new(column.into_column(), true)
    }
}

/// Sort by a column, the least value first.
pub fn asc(column: impl IntoColumn) -> SortKey {
    SortKey::new(column.into_column(), true)
}

/// Sort by a column, the greatest value first.
pub fn desc(column: impl IntoColumn) -> SortKey {
    SortKey::new(column.into_column(), false)
}
