// says: a task cannot take `self`: make it a function outside of the `impl` and pass the value as a parameter, such as `this: &Type`

use flowcore::prelude::*;

struct Loader;

impl Loader {
    #[task]
    fn load(&self, path: String) -> usize {
        path.len()
    }
}

fn main() {}
