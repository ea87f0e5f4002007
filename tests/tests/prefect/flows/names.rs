//! Names.

use flowcore::prelude::*;

use super::inc;
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![named_by_templates, named_by_options];

#[task(name = "fetch page", task_run_name = "fetch {url}, {depth}")]
fn fetch(url: String, depth: i64) -> String {
    format!("{depth} below {url}")
}

#[flow(flow_run_name = "visit {url}")]
async fn visit(url: &str) -> Result<String> {
    fetch.submit(url, 1).wait(None).await;
    fetch(url.into(), 2).await
}

#[flow(flow_run_name = "crawl")]
async fn named_by_templates() -> Result<String> {
    visit("a.org").await
}

#[flow]
async fn named_by_options() -> Vec<TaskFuture<i64>> {
    let named = inc.with_options(|o| o.name("next").task_run_name("next of {x}"));
    vec![named.submit(1)]
}
