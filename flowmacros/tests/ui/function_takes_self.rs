use flowcore::prelude::*;

struct Loader;

impl Loader {
    #[task]
    fn load(&self, path: String) -> usize {
        path.len()
    }
}

fn main() {}
