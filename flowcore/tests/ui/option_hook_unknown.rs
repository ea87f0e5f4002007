//! A hook that is not there.

use flowcore::prelude::*;
use flowcore::{RunInfo, TaskInfo};

fn notify(_: &TaskInfo, _: &RunInfo, _: &State) {}

#[task(on_running = notify, on_completion = [notfy])]
fn load() {}

fn main() {
    let _ = load;
}
