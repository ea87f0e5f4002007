//! Shortcuts: one aggregate of every column, as `df.groupby(["name"]).mean()`.
//!
//! As in Dask the index does not count as a column.

use datafusion::arrow::datatypes::DataType;
use datafusion::functions_aggregate::count::count_all;

use super::GroupBy;
use crate::dataframe::error::Result;
use crate::dataframe::frame::DataFrame;
use crate::dataframe::functions::{self, Aggregate};

impl GroupBy {
    /// The sum of each column of numbers, per group.
    ///
    /// # Errors
    ///
    /// No column of numbers beside the keys, or an unknown key.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// assert_eq!(df.groupby(["name"]).sum()?.columns(), ["name", "id", "x", "y"]);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn sum(&self) -> Result<DataFrame> {
        self.each(self.number_columns(), functions::sum)
    }

    /// The mean of each column of numbers, per group.
    ///
    /// # Errors
    ///
    /// No column of numbers beside the keys, or an unknown key.
    pub fn mean(&self) -> Result<DataFrame> {
        self.each(self.number_columns(), functions::mean)
    }

    /// The standard deviation, as of a sample, of each column of numbers, per group.
    ///
    /// # Errors
    ///
    /// No column of numbers beside the keys, or an unknown key.
    pub fn std(&self) -> Result<DataFrame> {
        self.each(self.number_columns(), functions::std)
    }

    /// The variance, as of a sample, of each column of numbers, per group.
    ///
    /// # Errors
    ///
    /// No column of numbers beside the keys, or an unknown key.
    pub fn var(&self) -> Result<DataFrame> {
        self.each(self.number_columns(), functions::var)
    }

    /// The middle value of each column of numbers, per group, as [`median`](functions::median) gives it.
    ///
    /// # Errors
    ///
    /// No column of numbers beside the keys, or an unknown key.
    pub fn median(&self) -> Result<DataFrame> {
        self.each(self.number_columns(), functions::median)
    }

    /// The least value of each column, per group.
    ///
    /// # Errors
    ///
    /// No column beside the keys, or an unknown key.
    pub fn min(&self) -> Result<DataFrame> {
        self.each(self.columns(), functions::min)
    }

    /// The greatest value of each column, per group.
    ///
    /// # Errors
    ///
    /// No column beside the keys, or an unknown key.
    pub fn max(&self) -> Result<DataFrame> {
        self.each(self.columns(), functions::max)
    }

    /// How many values of each column are there (not null), per group.
    ///
    /// # Errors
    ///
    /// No column beside the keys, or an unknown key.
    pub fn count(&self) -> Result<DataFrame> {
        self.each(self.columns(), functions::count)
    }

    /// How many different values each column has, per group.
    ///
    /// # Errors
    ///
    /// No column beside the keys, or an unknown key.
    pub fn nunique(&self) -> Result<DataFrame> {
        self.each(self.columns(), functions::nunique)
    }

    /// How many rows each group has, as a column `size`.
    ///
    /// # Errors
    ///
    /// An unknown key.
    ///
    /// # Examples
    ///
    /// ```
    /// # use flowdask::dataframe::datasets;
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let sizes = df.groupby(["name"]).size()?.compute_blocking()?.integers("size")?;
    /// assert_eq!(sizes.iter().sum::<i64>(), 86_400);
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn size(&self) -> Result<DataFrame> {
        self.agg([count_all().alias("size")])
    }

    fn each(
        &self,
        columns: impl Iterator<Item = String>,
        aggregate: impl Fn(String) -> Aggregate,
    ) -> Result<DataFrame> {
        self.agg(columns.map(aggregate))
    }

    fn columns(&self) -> impl Iterator<Item = String> {
        self.columns_of(|_| true)
    }

    fn number_columns(&self) -> impl Iterator<Item = String> {
        self.columns_of(DataType::is_numeric)
    }

    fn columns_of(&self, fits: impl Fn(&DataType) -> bool) -> impl Iterator<Item = String> {
        let fields = self.frame.plan().schema().fields().iter();
        fields
            .filter(move |field| {
                !self.keys.contains(field.name())
                    && !self.frame.index().contains(field.name())
                    && fits(field.data_type())
            })
            .map(|field| field.name().clone())
    }
}
