//! The data frame: a plan, how many partitions it has, and which columns are its index.
//!
//! A frame never changes; each operation gives a new one that shares what it can. It is planned
//! against the columns at once, so that a wrong name is an error of the operation that has it, and
//! computed only by `compute`, `persist` and their kin.

use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::collect;

use super::engine::{Engine, task_context};
use super::error::{Error, Result};
use super::functions::{IntoColumn, col};
use super::groupby::GroupBy;
use super::partitions::{Partitions, PartitionsExec, PartitionsTable};
use super::progress::Progress;
use super::table::Table;

/// A lazy data frame in partitions.
///
/// A handle is two pointers wide, cheap to clone, and may be sent to and shared by threads.
#[derive(Debug, Clone)]
#[must_use = "a frame does nothing before it is computed"]
pub struct DataFrame {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    plan: LogicalPlan,
    npartitions: usize,
    /// Whether each partition of this frame is made from the one partition of its source alone.
    blockwise: bool,
    index: Vec<String>,
    /// Partitions in memory, if the frame is exactly what they hold.
    source: Option<Arc<dyn Partitions>>,
}

impl DataFrame {
    pub(crate) fn from_partitions(source: Arc<dyn Partitions>, index: Vec<String>) -> Self {
        let npartitions = source.count();
        let table = Arc::new(PartitionsTable::new(Arc::clone(&source)));
        let plan = LogicalPlanBuilder::scan(source.name(), provider_as_source(table), None)
            .and_then(LogicalPlanBuilder::build)
            .unwrap_or_else(|error| unreachable!("a scan of all columns is always a plan: {error}"));
        DataFrame { shared: Arc::new(Shared { plan, npartitions, blockwise: true, index, source: Some(source) }) }
    }

    /// A frame of another plan over this one's.
    pub(crate) fn derive(&self, plan: LogicalPlan, npartitions: usize, blockwise: bool, index: Vec<String>) -> Self {
        DataFrame { shared: Arc::new(Shared { plan, npartitions, blockwise, index, source: None }) }
    }

    /// A frame whose partitions are made from this one's, one by one.
    fn derive_blockwise(&self, plan: LogicalPlan) -> Self {
        let names = self::names(&plan);
        let index = self.shared.index.iter().filter(|name| names.contains(name)).cloned().collect();
        self.derive(plan, self.shared.npartitions, self.shared.blockwise, index)
    }

    pub(crate) fn plan(&self) -> &LogicalPlan {
        &self.shared.plan
    }

    pub(crate) fn index(&self) -> &[String] {
        &self.shared.index
    }

    pub(crate) fn is_blockwise(&self) -> bool {
        self.shared.blockwise
    }

    /// The column of that name, or an error that says what there is.
    pub(crate) fn column(&self, name: &str) -> Result<Expr> {
        let names = self.columns();
        if names.iter().any(|column| column == name) { Ok(col(name)) } else { Err(Error::unknown_column(name, names)) }
    }

    pub(crate) fn nullable(&self, column: &Expr) -> bool {
        match column {
            Expr::Column(column) => {
                let schema = self.plan().schema();
                let found = schema.qualified_field_with_unqualified_name(&column.name);
                found.map_or(true, |(_, field)| field.is_nullable())
            }
            _ => true,
        }
    }

    /// How many partitions the frame has.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-08").build()?;
    /// assert_eq!(df.npartitions(), 7);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    #[must_use]
    pub fn npartitions(&self) -> usize {
        self.shared.npartitions
    }

    /// The names of the columns, the index among them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000", "2001").build()?;
    /// assert_eq!(df.columns(), ["timestamp", "name", "id", "x", "y"]);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        names(self.plan())
    }

    /// The bytes that a persisted frame takes in memory; nothing for a frame that is not persisted.
    #[must_use]
    pub fn memory_usage(&self) -> Option<u64> {
        self.shared.source.as_ref().and_then(|source| source.bytes())
    }

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
        let plan = LogicalPlanBuilder::from(self.plan().clone())
            .filter(condition)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| Error::plan("filter", error))?;
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
        let plan = LogicalPlanBuilder::from(self.plan().clone())
            .project(columns)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| Error::plan("select", error))?;
        Ok(self.derive_blockwise(plan))
    }

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
        GroupBy { frame: self.clone(), keys: keys.into_iter().map(Into::into).collect() }
    }

    /// Computes the frame and gives its rows.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong while it computes, for example a file that is cut off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work; the frame is as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// # async fn example() -> flowdask::dataframe::Result<()> {
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").build()?;
    /// let table = df.compute().await?;
    /// assert_eq!(table.num_rows(), 24);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn compute(&self) -> Result<Table> {
        let engine = Engine::get()?;
        engine.spawn(compute(engine, self.clone())).await
    }

    /// [`DataFrame::compute`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").freq("1h").build()?;
    /// assert_eq!(df.compute_blocking()?.num_rows(), 24);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn compute_blocking(&self) -> Result<Table> {
        let engine = Engine::get()?;
        engine.block(compute(engine, self.clone()))
    }

    /// Counts the rows.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the work.
    pub async fn len(&self) -> Result<u64> {
        let table = self.count_rows()?.compute().await?;
        Ok(table.integers("count")?.first().copied().unwrap_or(0).unsigned_abs())
    }

    /// [`DataFrame::len`] for code that is not `async`: blocks this thread.
    ///
    /// # Errors
    ///
    /// As [`DataFrame::compute`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// assert_eq!(df.len_blocking()?, 86_400);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn len_blocking(&self) -> Result<u64> {
        let table = self.count_rows()?.compute_blocking()?;
        Ok(table.integers("count")?.first().copied().unwrap_or(0).unsigned_abs())
    }

    fn count_rows(&self) -> Result<DataFrame> {
        let plan = LogicalPlanBuilder::from(self.plan().clone())
            .aggregate(Vec::<Expr>::new(), [datafusion::functions_aggregate::count::count_all().alias("count")])
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| Error::plan("len", error))?;
        Ok(self.derive(plan, 1, false, Vec::new()))
    }
}

fn names(plan: &LogicalPlan) -> Vec<String> {
    plan.schema().fields().iter().map(|field| field.name().clone()).collect()
}

async fn compute(engine: &'static Engine, frame: DataFrame) -> Result<Table> {
    let (plan, state) = engine.plan(frame.plan(), engine.run_for_compute()).await?;
    let progress = Progress::start("computing", source_partitions(&plan));
    let schema = plan.schema();
    let batches = collect(plan, task_context(state, &progress)).await.map_err(Error::compute)?;
    Ok(Table::new(schema, batches, frame.index().to_vec()))
}

/// How many partitions all sources of a plan have.
fn source_partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = plan.downcast_ref::<PartitionsExec>().map_or(0, PartitionsExec::partitions);
    own + plan.children().into_iter().map(source_partitions).sum::<usize>()
}
