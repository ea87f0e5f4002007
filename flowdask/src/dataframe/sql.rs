//! Queries in SQL over frames.

use std::sync::Arc;

use datafusion::catalog::MemoryCatalogProviderList;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemorySchemaProvider,
    SchemaProvider,
};
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::ViewTable;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use futures_util::FutureExt;

use super::engine::Engine;
use super::error::{Error, Result};
use super::frame::DataFrame;

impl DataFrame {
    /// A query over this frame, which it calls `df`.
    ///
    /// # Errors
    ///
    /// A query that is wrong, has an unknown column, or does anything but read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let top = df.sql("select name, max(x) as x from df group by name order by name limit 3")?;
    /// assert_eq!(top.compute_blocking()?.num_rows(), 3);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn sql(&self, query: &str) -> Result<DataFrame> {
        sql(query, [("df", self)])
    }
}

/// A query over several frames, each under the name that is given with it.
///
/// # Errors
///
/// A query that is wrong, has an unknown column or table, or does anything but read.
///
/// # Examples
///
/// ```
/// use flowdask::dataframe::{datasets, sql};
///
/// let a = datasets::timeseries("2000-01-01", "2000-01-02").seed(1).build()?;
/// let b = datasets::timeseries("2000-01-01", "2000-01-02").seed(2).build()?;
/// let both = sql("select a.x + b.x as x from a join b on a.timestamp = b.timestamp", [("a", &a), ("b", &b)])?;
/// assert_eq!(both.len_blocking()?, 86_400);
/// # Ok::<(), flowdask::dataframe::Error>(())
/// ```
pub fn sql<'a, N: Into<String>>(
    query: &str,
    tables: impl IntoIterator<Item = (N, &'a DataFrame)>,
) -> Result<DataFrame> {
    // A catalog for this query alone: names mean nothing outside of it.
    let schema = MemorySchemaProvider::new();
    let mut frames = Vec::new();
    for (name, frame) in tables {
        let view = ViewTable::new(frame.plan().clone(), None);
        schema
            .register_table(name.into(), Arc::new(view))
            .map_err(Error::sql)?;
        frames.push(frame.clone());
    }
    let engine = Engine::get()?;
    let defaults = &engine.state().config_options().catalog;
    let catalog = MemoryCatalogProvider::new();
    catalog
        .register_schema(&defaults.default_schema, Arc::new(schema))
        .map_err(Error::sql)?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(defaults.default_catalog.clone(), Arc::new(catalog));
    let state = SessionStateBuilder::new_from_existing(engine.state().clone())
        .with_catalog_list(Arc::new(catalogs))
        .build();

    // Every table is in memory, so planning waits for nothing.
    let planned = state
        .create_logical_plan(query)
        .now_or_never()
        .ok_or(Error::Stopped)?;
    let plan = planned.map_err(Error::sql)?;
    let read_only = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    read_only.verify_plan(&plan).map_err(Error::sql)?;
    let npartitions = if is_one_partition(&plan)? {
        1
    } else {
        frames.iter().map(DataFrame::npartitions).max().unwrap_or(1)
    };
    let names: Vec<String> = plan
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    if let Some((_, name)) = names
        .iter()
        .enumerate()
        .find(|(number, name)| names[..*number].contains(name))
    {
        return Err(Error::DuplicateColumn { name: name.clone() });
    }
    Ok(DataFrame::from_plan(plan, npartitions, &frames))
}

/// Whether a query gathers its rows, as `groupby` and `sort` do.
fn is_one_partition(plan: &LogicalPlan) -> Result<bool> {
    let gathers = |plan: &LogicalPlan| {
        matches!(
            plan,
            LogicalPlan::Aggregate(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::Distinct(_)
                | LogicalPlan::Window(_)
        )
    };
    plan.exists(|plan| Ok(gathers(plan))).map_err(Error::sql)
}
