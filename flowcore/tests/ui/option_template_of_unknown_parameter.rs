// says: no parameter is called `ulr`; did you mean `{url}`?
// says: `{url.len()}` is more than a name; a placeholder is a parameter's name alone: `{url}`
// says: `{` without `}`; write `{{` for a brace that stands for itself
// says: no parameter is called `when`; the function has no parameters

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
