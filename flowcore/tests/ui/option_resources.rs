// says: `resources` wants a list of names and amounts: `resources = [GPU = 1]`
// says: each of `resources` is a name and an amount: `resources = [GPU = 1]`
// says: an amount is a number greater than zero: `[GPU = 1]`
// says: resource `GPU` is given twice; remove one
// says: a resource's name is a word or a string literal: `[GPU = 1, "my-disk" = 2]`
// says: `priority` wants a whole number, higher ones first: `priority = 10`
// says: `priority` is a number from -2147483648 to 2147483647: `priority = 10`
// says: `resources` needs a value: `resources = [GPU = 1]`

use flowcore::prelude::*;

#[task(resources = "GPU", priority = 1.5)]
fn a() {}

#[task(resources = [GPU, ("GPU", 1.0)], priority = "high")]
fn b() {}

#[task(resources = [GPU = 0, GPU = 1, GPU = 2, disk = -1.0, 5 = 1, memory = "1 GB"])]
fn c() {}

#[task(resources, priority = 3000000000)]
fn d() {}

#[task(resources = [GPU = HALF, disk = 2], priority = -5)]
fn right() {}

const HALF: f64 = 0.5;

#[flow(priority = 3, resources = [GPU = 1])]
async fn on_a_flow() {}

fn main() {}
