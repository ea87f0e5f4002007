//! `describe`: a summary of the columns of numbers, laid out as pandas lays it out.

use std::sync::Arc;

use datafusion::arrow::array::StringViewArray;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Column, UnnestOptions};
use datafusion::logical_expr::{Expr, lit};

use super::aggregates;
use super::error::{Error, Result};
use super::frame::DataFrame;
use super::functions::col;

/// The name of the column of labels: none, as in pandas.
const LABEL: &str = "";

impl DataFrame {
    /// Count, mean, standard deviation, least value, quartiles and greatest value of each column of
    /// numbers; missing values (null, NaN) do not count. The labels are the frame's index, a column
    /// without a name.
    ///
    /// Quartiles are exact up to half a million rows per thread, beyond that within 0.5 % of the
    /// rank. All is found in one pass.
    ///
    /// # Errors
    ///
    /// No column of numbers.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let summary = df.describe()?.compute_blocking()?;
    /// assert_eq!(summary.column_names(), ["", "id", "x", "y"]);
    /// assert_eq!(summary.floats("x")?[0], 86_400.0);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn describe(&self) -> Result<DataFrame> {
        let fields = self.plan().schema().fields();
        let numbers = fields
            .iter()
            .filter(|field| field.data_type().is_numeric() && !self.index().contains(field.name()));
        let names: Vec<String> = numbers.map(|field| field.name().clone()).collect();
        if names.is_empty() {
            return Err(Error::InvalidArgument {
                what: "`describe` needs a column of numbers; the frame has none".to_owned(),
            });
        }
        let labels = StringViewArray::from_iter_values(aggregates::LABELS);
        let labels = SingleRowListArrayBuilder::new(Arc::new(labels)).build_list_scalar();
        let summaries = names
            .iter()
            .map(|name| aggregates::describe(col(name)).alias(name));
        let columns: Vec<Expr> = std::iter::once(lit(labels).alias(LABEL))
            .chain(names.iter().map(col))
            .collect();
        let lists = std::iter::once(LABEL)
            .chain(names.iter().map(String::as_str))
            .map(Column::from_name)
            .collect();
        let plan = self.build("describe", |plan| {
            plan.aggregate(Vec::<Expr>::new(), summaries)?
                .project(columns)?
                .unnest_columns_with_options(lists, UnnestOptions::new())
        })?;
        Ok(self.derive(plan, 1, false, vec![LABEL.to_owned()]))
    }
}
