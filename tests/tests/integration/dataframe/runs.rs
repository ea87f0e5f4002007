//! What the engine's threads do belongs to the run that asked for it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use flowcore::prelude::*;
use flowdask::dataframe::{DataFrame, col, datasets};

/// A function that gives its argument back and notes the run in which it is computed.
fn noting(seen: Arc<Mutex<BTreeSet<String>>>) -> ScalarUDF {
    let note = move |arguments: &[ColumnarValue]| {
        let run = flowcore::run_info().and_then(|run| run.task_run_name);
        seen.lock()
            .unwrap()
            .insert(run.unwrap_or_else(|| "no run".to_owned()));
        Ok(arguments[0].clone())
    };
    create_udf(
        "noting",
        vec![DataType::Float64],
        DataType::Float64,
        Volatility::Volatile,
        Arc::new(note),
    )
}

fn noted(seen: &Arc<Mutex<BTreeSet<String>>>) -> DataFrame {
    let df = datasets::timeseries("2000-01-01", "2000-01-03")
        .partition_freq("6h")
        .build()
        .unwrap();
    df.with_column("z", noting(Arc::clone(seen)).call(vec![col("x")]))
        .unwrap()
}

#[task(local, task_run_name = "awaited")]
async fn awaited(seen: Arc<Mutex<BTreeSet<String>>>) -> Result<()> {
    let df = noted(&seen);
    df.groupby(["name"]).sum()?.compute().await?;
    df.sort(["z"])?.compute().await?;
    let _kept = df.persist().await?;
    Ok(())
}

#[task(local, task_run_name = "blocking")]
fn blocking(seen: Arc<Mutex<BTreeSet<String>>>) -> Result<()> {
    let df = noted(&seen);
    df.groupby(["name"]).sum()?.compute_blocking()?;
    let _kept = df.persist_blocking()?;
    Ok(())
}

#[flow]
async fn computing(a: Arc<Mutex<BTreeSet<String>>>, b: Arc<Mutex<BTreeSet<String>>>) -> Result<()> {
    awaited(a).await?;
    blocking(b).await
}

#[test]
fn computations_know_their_run() {
    let (a, b) = (Arc::default(), Arc::default());
    let wait = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    wait.block_on(async { computing(Arc::clone(&a), Arc::clone(&b)).await })
        .unwrap();
    assert_eq!(Vec::from_iter(a.lock().unwrap().iter()), ["awaited"]);
    assert_eq!(Vec::from_iter(b.lock().unwrap().iter()), ["blocking"]);
}
