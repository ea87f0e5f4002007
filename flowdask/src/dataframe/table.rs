//! A computed table: its batches, typed access to its columns and rows.

mod print;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Error, Result};

/// The rows of a frame that was computed, as Arrow record batches.
///
/// It prints as pandas does: right-aligned, long tables cut in the middle.
#[derive(Debug, Clone)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    index: Vec<String>,
}

impl Table {
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>, index: Vec<String>) -> Self {
        Table {
            schema,
            batches,
            index,
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn num_rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// How many columns there are, the index among them.
    #[must_use]
    pub fn num_columns(&self) -> usize {
        self.schema.fields().len()
    }

    /// The names of the columns, the index among them.
    #[must_use]
    pub fn column_names(&self) -> Vec<&str> {
        self.schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect()
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn index(&self) -> &[String] {
        &self.index
    }

    /// The rows as Arrow record batches.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// A column of numbers as floating-point numbers; nulls are NaN, as in pandas.
    ///
    /// # Errors
    ///
    /// An unknown column, or one that holds no numbers.
    pub fn floats(&self, name: &str) -> Result<Vec<f64>> {
        let mut values = Vec::with_capacity(self.num_rows());
        for column in self.cast(name, &DataType::Float64, "numbers", DataType::is_numeric)? {
            let column = column.as_primitive::<Float64Type>();
            values.extend(column.iter().map(|value| value.unwrap_or(f64::NAN)));
        }
        Ok(values)
    }

    /// A column of whole numbers.
    ///
    /// # Errors
    ///
    /// An unknown column, one that holds no whole numbers, or one with nulls.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let mut values = Vec::with_capacity(self.num_rows());
        for column in self.cast(
            name,
            &DataType::Int64,
            "whole numbers",
            DataType::is_integer,
        )? {
            let column = column.as_primitive::<Int64Type>();
            for value in column {
                let missing = || Error::ColumnType {
                    name: name.to_owned(),
                    wanted: "whole numbers",
                    found: "a null".to_owned(),
                };
                values.push(value.ok_or_else(missing)?);
            }
        }
        Ok(values)
    }

    /// A column as texts; nulls are `None`. Numbers and dates are written out.
    ///
    /// # Errors
    ///
    /// An unknown column, or one of a nested type.
    pub fn texts(&self, name: &str) -> Result<Vec<Option<String>>> {
        let mut values = Vec::with_capacity(self.num_rows());
        for column in self.cast(name, &DataType::Utf8, "texts", |from| !from.is_nested())? {
            values.extend(
                column
                    .as_string::<i32>()
                    .iter()
                    .map(|value| value.map(str::to_owned)),
            );
        }
        Ok(values)
    }

    fn cast(
        &self,
        name: &str,
        to: &DataType,
        wanted: &'static str,
        fits: impl Fn(&DataType) -> bool,
    ) -> Result<Vec<std::sync::Arc<dyn Array>>> {
        let unknown = || {
            Error::unknown_column(
                name,
                self.column_names().into_iter().map(str::to_owned).collect(),
            )
        };
        let (position, field) = self.schema.column_with_name(name).ok_or_else(unknown)?;
        let wrong = || Error::ColumnType {
            name: name.to_owned(),
            wanted,
            found: field.data_type().to_string(),
        };
        if !fits(field.data_type()) {
            return Err(wrong());
        }
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let cast = |batch: &RecordBatch| {
            cast_with_options(batch.column(position), to, &options).map_err(|_| wrong())
        };
        self.batches.iter().map(cast).collect()
    }

    /// The rows as JSON objects, one member per column; dates are texts in ISO 8601, NaN is null.
    ///
    /// # Errors
    ///
    /// A column whose type has no form in JSON.
    pub fn to_json(&self) -> Result<Vec<Value>> {
        use datafusion::arrow::json::WriterBuilder;
        use datafusion::arrow::json::writer::JsonArray;
        let mut text = Vec::new();
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(true)
            .build::<_, JsonArray>(&mut text);
        let batches: Vec<&RecordBatch> = self
            .batches
            .iter()
            .filter(|batch| batch.num_rows() > 0)
            .collect();
        writer
            .write_batches(&batches)
            .and_then(|()| writer.finish())
            .map_err(|error| Error::compute(error.into()))?;
        drop(writer);
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&text).map_err(|source| Error::Rows {
            wanted: "JSON",
            source,
        })
    }

    /// The rows as values of a type with one field per column.
    ///
    /// # Errors
    ///
    /// A row that does not fit the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowdask::dataframe::{datasets, max, sum};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Summary { name: String, x: f64, y: f64 }
    ///
    /// let df = datasets::timeseries("2000-01-01", "2000-01-02").build()?;
    /// let rows: Vec<Summary> = df.groupby(["name"]).agg([sum("x"), max("y")])?.compute_blocking()?.rows()?;
    /// assert_eq!(rows[0].name, "Alice");
    /// # Ok::<(), flowdask::dataframe::Error>(())
    /// ```
    pub fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        let rows = Value::Array(self.to_json()?);
        serde_json::from_value(rows).map_err(|source| Error::Rows {
            wanted: std::any::type_name::<T>(),
            source,
        })
    }
}
