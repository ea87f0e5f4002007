use flowcore::prelude::*;

#[task(task_run_name = "fetch-{ulr}")]
fn fetch(url: String) -> usize {
    url.len()
}

#[task(task_run_name = "fetch-{url.len()}")]
fn measure(url: String) -> usize {
    url.len()
}

#[flow(flow_run_name = "nightly-{")]
async fn nightly(day: String) {}

#[flow(flow_run_name = "{when}")]
async fn weekly() {}

fn main() {}
