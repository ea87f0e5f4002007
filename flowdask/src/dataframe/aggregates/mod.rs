//! Aggregate functions of our own, where DataFusion's are slower than Dask's: [`describe`] and
//! [`quantile`], in one pass over the rows, for DataFusion's planner and executor as any other.

mod moments;
mod quantile;
mod sample;
mod summary;

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{AggregateUDF, Expr, lit};

pub(crate) use summary::LABELS;

static DESCRIBE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(summary::Summary::new().into()));
static QUANTILE: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| Arc::new(quantile::Quantile::new().into()));

/// All of them, to be registered with a session, so that SQL has them too.
pub(crate) fn all() -> [Arc<AggregateUDF>; 2] {
    [Arc::clone(&DESCRIBE), Arc::clone(&QUANTILE)]
}

/// A list of count, mean, standard deviation, least value, quartiles and greatest value.
pub(crate) fn describe(column: Expr) -> Expr {
    DESCRIBE.call(vec![column])
}

/// The value below which the share `q` of a column's values lies.
pub(crate) fn quantile(column: Expr, q: f64) -> Expr {
    QUANTILE.call(vec![column, lit(q)])
}

/// Hands the values of a column, without nulls and NaN, to `use_values`, in runs of at most 1,024:
/// few enough for the processor's fastest cache.
fn for_each_run(column: &ArrayRef, mut use_values: impl FnMut(&[f64])) -> Result<()> {
    const RUN: usize = 1024;
    let mut run: Vec<f64> = Vec::with_capacity(RUN);
    match column.data_type() {
        DataType::Float64 => {
            let column = column.as_primitive::<Float64Type>();
            for (number, values) in column.values().chunks(RUN).enumerate() {
                let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
                // Without a way out of the loop it runs on several values at once.
                let any_nan = values.iter().fold(false, |any, value| any | value.is_nan());
                if nulls.is_none() && !any_nan {
                    use_values(values);
                    continue;
                }
                run.clear();
                let rows = values.iter().enumerate().filter(|(row, value)| {
                    !value.is_nan() && nulls.is_none_or(|nulls| nulls.is_valid(number * RUN + row))
                });
                run.extend(rows.map(|(_, value)| *value));
                use_values(&run);
            }
        }
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            for (number, values) in column.values().chunks(RUN).enumerate() {
                run.clear();
                match column.nulls() {
                    Some(nulls) => {
                        let rows = values
                            .iter()
                            .enumerate()
                            .filter(|(row, _)| nulls.is_valid(number * RUN + row));
                        run.extend(rows.map(|(_, value)| *value as f64));
                    }
                    None => run.extend(values.iter().map(|value| *value as f64)),
                }
                use_values(&run);
            }
        }
        other => return internal_err!("a summary of {other}"),
    }
    Ok(())
}
