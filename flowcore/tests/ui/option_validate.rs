// says: `validate` wants the name of a function that looks at all parameters
// says: `validate` cannot return `bool`
// says: `#[task]` has no option `validate`: it belongs to a flow

use flowcore::prelude::*;

fn check(days: &u32) -> Result<(), String> {
    (*days > 0).then_some(()).ok_or_else(|| "no days".into())
}

fn is_good(days: &u32) -> bool {
    *days > 0
}

#[flow(validate = |days| *days > 0)]
async fn closure(days: u32) -> u32 {
    days
}

#[flow(validate = is_good)]
async fn other_answer(days: u32) -> u32 {
    days
}

#[flow(validate = check)]
async fn other_parameter(name: String) -> String {
    name
}

#[flow(validate = check)]
async fn more_parameters(days: u32, name: String) -> String {
    name.repeat(days as usize)
}

#[task(validate = check)]
fn task(days: u32) -> u32 {
    days
}

fn main() {}
