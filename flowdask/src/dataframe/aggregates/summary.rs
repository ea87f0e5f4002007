//! The aggregate function `describe`: everything that pandas' `describe` says of one column.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, UInt32Type, UInt64Type,
};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use super::for_each_run;
use super::moments::Moments;
use super::sample::Sample;

/// What the values of the list are, in order.
pub(crate) const LABELS: [&str; 8] = ["count", "mean", "std", "min", "25%", "50%", "75%", "max"];

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Summary {
    signature: Signature,
}

impl Summary {
    pub(crate) fn new() -> Self {
        let numbers = vec![DataType::Float64, DataType::Int64];
        Summary {
            signature: Signature::uniform(1, numbers, Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for Summary {
    fn name(&self) -> &'static str {
        "describe"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Float64, true))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(SummaryAccumulator {
            moments: Moments::EMPTY,
            sample: Sample::new(),
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name: &str, data_type| {
            Arc::new(Field::new(
                format_state_name(args.name, name),
                data_type,
                true,
            ))
        };
        Ok(vec![
            field("count", DataType::UInt64),
            field("mean", DataType::Float64),
            field("distances", DataType::Float64),
            field("min", DataType::Float64),
            field("max", DataType::Float64),
            field("level", DataType::UInt32),
            field("kept", DataType::new_list(DataType::Float64, true)),
        ])
    }
}

#[derive(Debug)]
struct SummaryAccumulator {
    moments: Moments,
    sample: Sample,
}

/// A list of numbers as one value.
pub(super) fn float_list(values: &[f64]) -> ScalarValue {
    let values = datafusion::arrow::array::Float64Array::from(values.to_vec());
    SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()
}

impl Accumulator for SummaryAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each_run(&values[0], |run| {
            self.moments.merge(&Moments::of(run));
            self.sample.extend(run);
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let [low, middle, high] = self.sample.quantiles([0.25, 0.5, 0.75]);
        let moments = &self.moments;
        let or_missing = |value: f64| if moments.count == 0 { f64::NAN } else { value };
        Ok(float_list(&[
            moments.count as f64,
            or_missing(moments.mean),
            moments.std(),
            or_missing(moments.min),
            low,
            middle,
            high,
            or_missing(moments.max),
        ]))
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of_val(self.sample.kept())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            self.moments.count.into(),
            self.moments.mean.into(),
            self.moments.distances.into(),
            self.moments.min.into(),
            self.moments.max.into(),
            self.sample.level().into(),
            float_list(self.sample.kept()),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [counts, means, distances, mins, maxs, levels, kept] = states else {
            return datafusion::common::internal_err!(
                "a state of describe has seven columns, not {}",
                states.len()
            );
        };
        for row in 0..counts.len() {
            let float = |column: &ArrayRef| column.as_primitive::<Float64Type>().value(row);
            self.moments.merge(&Moments {
                count: counts.as_primitive::<UInt64Type>().value(row),
                mean: float(means),
                distances: float(distances),
                min: float(mins),
                max: float(maxs),
            });
            let kept = kept.as_list::<i32>().value(row);
            let kept = kept.as_primitive::<Float64Type>().values().to_vec();
            self.sample.merge(Sample::from_parts(
                levels.as_primitive::<UInt32Type>().value(row),
                kept,
            ));
        }
        Ok(())
    }
}
