use std::cell::RefCell;

use flowcore::prelude::*;

struct Cache {
    rows: RefCell<Vec<i64>>,
}

#[task(local)]
fn count(name: String, caches: &[Cache], limit: usize) -> usize {
    let rows: usize = caches.iter().map(|cache| cache.rows.borrow().len()).sum();
    rows.min(limit + name.len())
}

#[flow]
async fn example() -> Result<usize> {
    count.submit("a", vec![], 1usize).await
}

fn main() {}
