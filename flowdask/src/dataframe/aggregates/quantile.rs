//! The aggregate function `quantile(column, share)`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt32Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, ColumnarValue, Signature, TypeSignature, Volatility,
};

use super::for_each_run;
use super::sample::Sample;
use super::summary::float_list;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Quantile {
    signature: Signature,
}

impl Quantile {
    pub(crate) fn new() -> Self {
        let of = |number| TypeSignature::Exact(vec![number, DataType::Float64]);
        let signature = Signature::one_of(
            vec![of(DataType::Float64), of(DataType::Int64)],
            Volatility::Immutable,
        );
        Quantile { signature }
    }
}

impl AggregateUDFImpl for Quantile {
    fn name(&self) -> &'static str {
        "quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let share =
            args.exprs[1].evaluate(&RecordBatch::new_empty(Arc::new(args.schema.clone())))?;
        let share = match share {
            ColumnarValue::Scalar(ScalarValue::Float64(Some(share)))
                if (0.0..=1.0).contains(&share) =>
            {
                share
            }
            _ => {
                return plan_err!(
                    "the share of a quantile is a literal number from 0 to 1, such as 0.25"
                );
            }
        };
        Ok(Box::new(QuantileAccumulator {
            share,
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
            field("level", DataType::UInt32),
            field("kept", DataType::new_list(DataType::Float64, true)),
        ])
    }
}

#[derive(Debug)]
struct QuantileAccumulator {
    share: f64,
    sample: Sample,
}

impl Accumulator for QuantileAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for_each_run(&values[0], |run| self.sample.extend(run))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let [value] = self.sample.quantiles([self.share]);
        Ok(ScalarValue::Float64(
            Some(value).filter(|value| !value.is_nan()),
        ))
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of_val(self.sample.kept())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            self.sample.level().into(),
            float_list(self.sample.kept()),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (levels, kept) = (
            states[0].as_primitive::<UInt32Type>(),
            states[1].as_list::<i32>(),
        );
        for row in 0..levels.len() {
            let kept = kept
                .value(row)
                .as_primitive::<Float64Type>()
                .values()
                .to_vec();
            self.sample
                .merge(Sample::from_parts(levels.value(row), kept));
        }
        Ok(())
    }
}
