//! Where a program begins: `#[flowcore::main]`, or `init()` in a `main` of
//! one's own.

use std::future::Future;

/// Makes this process ready for runs: console lines, and panics of tasks that
/// are told by their runs and not printed twice. `#[flowcore::main]` does it;
/// a `main` of one's own calls it first. Calling it again does nothing.
///
/// ```
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() {
///     flowcore::init();
/// }
/// ```
///
/// # Panics
///
/// If the program is built with `panic = "abort"`: a panic in a task must
/// fail its run and not end the process.
pub fn init() {
    #[cfg(panic = "abort")]
    panic!("{ABORTS}");
    #[cfg(not(panic = "abort"))]
    prepare();
}

fn prepare() {
    crate::console::install();
    crate::runner::install_hook();
}

const ABORTS: &str = "this program is built with `panic = \"abort\"`, so a panic in a task would end \
                      the whole process instead of failing its run: remove `panic = \"abort\"` from \
                      the profile in Cargo.toml";

/// What `#[flowcore::main]` calls.
#[doc(hidden)]
pub fn run_main<F: Future>(aborts: bool, main: F) -> F::Output {
    if aborts {
        eprintln!("error: {ABORTS}");
        std::process::exit(2);
    }
    prepare();
    crate::runtime::user().block_on(main)
}
