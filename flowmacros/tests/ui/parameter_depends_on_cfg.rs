use flowcore::prelude::*;

#[task]
fn load(path: String, #[cfg(unix)] mode: u32) -> usize {
    path.len()
}

fn main() {}
