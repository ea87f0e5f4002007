//! Where the files of `src/runner` find what is beside them.

#[path = "../src/runner/control.rs"]
pub(crate) mod control;
#[path = "../src/runner/stops.rs"]
pub(crate) mod stops;

pub(crate) mod attempt {
    /// Stands for what follows an attempt.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Next(pub(crate) &'static str);
}
