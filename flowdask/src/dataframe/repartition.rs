//! `repartition`: the same rows in another number of partitions.

use std::sync::Arc;

use datafusion::logical_expr::Partitioning;

use super::error::{Error, Result};
use super::frame::DataFrame;
use super::partitions::Regrouped;

impl DataFrame {
    /// The same rows in `npartitions` partitions.
    ///
    /// The rows of a time series or a persisted frame stay in order, and the partitions are of about
    /// the same length. Those of other frames are dealt out to the partitions in turn.
    ///
    /// # Errors
    ///
    /// No partition at all.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000", "2001").build()?;
    /// assert_eq!(df.npartitions(), 366);
    /// assert_eq!(df.repartition(12)?.npartitions(), 12);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn repartition(&self, npartitions: usize) -> Result<DataFrame> {
        if npartitions == 0 {
            return Err(Error::InvalidArgument {
                what: "`repartition` needs at least one partition, not 0".to_owned(),
            });
        }
        if npartitions == self.npartitions() {
            return Ok(self.clone());
        }
        if let Some(source) = self.source() {
            let regrouped = Regrouped::new(Arc::clone(source), npartitions);
            return Ok(DataFrame::from_partitions(
                Arc::new(regrouped),
                self.index().to_vec(),
            ));
        }
        let plan = self.build("repartition", |plan| {
            plan.repartition(Partitioning::RoundRobinBatch(npartitions))
        })?;
        Ok(self.derive(plan, npartitions, false, self.index().to_vec()))
    }
}
