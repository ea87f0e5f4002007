//! The data frame: a plan, how many partitions it has, and which columns are its index.
//!
//! A frame never changes; each operation gives a new one that shares what it can. It is planned
//! against the columns at once, so that a wrong name is an error of the operation that has it, and
//! computed only by `compute`, `persist` and their kin.

use std::sync::Arc;

use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::error::{Error, Result};
use super::functions::col;
use super::partitions::{Partitions, PartitionsTable};
use super::read::File;

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
    /// The files that the plan reads.
    files: Arc<[File]>,
    /// Partitions in memory, if the frame is exactly what they hold.
    source: Option<Arc<dyn Partitions>>,
}

impl DataFrame {
    pub(crate) fn from_partitions(source: Arc<dyn Partitions>, index: Vec<String>) -> Self {
        let npartitions = source.count();
        let table = Arc::new(PartitionsTable::new(Arc::clone(&source)));
        let plan = LogicalPlanBuilder::scan(source.name(), provider_as_source(table), None)
            .and_then(LogicalPlanBuilder::build)
            .unwrap_or_else(|error| {
                unreachable!("a scan of all columns is always a plan: {error}")
            });
        DataFrame::new(Shared {
            plan,
            npartitions,
            blockwise: true,
            index,
            files: Arc::new([]),
            source: Some(source),
        })
    }

    pub(crate) fn from_files(plan: LogicalPlan, files: Vec<File>) -> Self {
        let npartitions = files.len();
        let files = files.into();
        DataFrame::new(Shared {
            plan,
            npartitions,
            blockwise: true,
            index: Vec::new(),
            files,
            source: None,
        })
    }

    /// A frame of a plan over several frames.
    pub(crate) fn from_plan(plan: LogicalPlan, npartitions: usize, over: &[DataFrame]) -> Self {
        let files = over
            .iter()
            .flat_map(|frame| frame.files().iter().cloned())
            .collect();
        DataFrame::new(Shared {
            plan,
            npartitions,
            blockwise: false,
            index: Vec::new(),
            files,
            source: None,
        })
    }

    /// A frame of another plan over this one's.
    pub(crate) fn derive(
        &self,
        plan: LogicalPlan,
        npartitions: usize,
        blockwise: bool,
        index: Vec<String>,
    ) -> Self {
        let files = Arc::clone(&self.shared.files);
        DataFrame::new(Shared {
            plan,
            npartitions,
            blockwise,
            index,
            files,
            source: None,
        })
    }

    /// This frame, whose plan reads the files of `other` too.
    pub(crate) fn with_files_of(&self, other: &DataFrame) -> Self {
        let files = self.files().iter().chain(other.files()).cloned().collect();
        let Shared {
            plan,
            npartitions,
            blockwise,
            index,
            source,
            ..
        } = self.shared.as_ref();
        let (plan, index, source) = (plan.clone(), index.clone(), source.clone());
        DataFrame::new(Shared {
            plan,
            npartitions: *npartitions,
            blockwise: *blockwise,
            index,
            files,
            source,
        })
    }

    fn new(shared: Shared) -> Self {
        DataFrame {
            shared: Arc::new(shared),
        }
    }

    /// A frame whose partitions are made from this one's, one by one.
    pub(crate) fn derive_blockwise(&self, plan: LogicalPlan) -> Self {
        let names = self::names(&plan);
        let index = self
            .shared
            .index
            .iter()
            .filter(|name| names.contains(name))
            .cloned()
            .collect();
        self.derive(plan, self.shared.npartitions, self.shared.blockwise, index)
    }

    pub(crate) fn plan(&self) -> &LogicalPlan {
        &self.shared.plan
    }

    pub(crate) fn index(&self) -> &[String] {
        &self.shared.index
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.shared.files
    }

    pub(crate) fn source(&self) -> Option<&Arc<dyn Partitions>> {
        self.shared.source.as_ref()
    }

    pub(crate) fn is_blockwise(&self) -> bool {
        self.shared.blockwise
    }

    /// The column of that name, or an error that says what there is.
    pub(crate) fn column(&self, name: &str) -> Result<Expr> {
        let names = self.columns();
        if names.iter().any(|column| column == name) {
            Ok(col(name))
        } else {
            Err(Error::unknown_column(name, names))
        }
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
        self.shared
            .source
            .as_ref()
            .and_then(|source| source.bytes())
    }
}

fn names(plan: &LogicalPlan) -> Vec<String> {
    plan.schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}
