// says: a parameter of a task cannot depend on `cfg`: write two functions, each with a `#[cfg(..)]` of its own

use flowcore::prelude::*;

#[task]
fn load(path: String, #[cfg(unix)] mode: u32) -> usize {
    path.len()
}

fn main() {}
