//! Edges between runs: those that come with data, and those made by
//! `after`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::AllowFailure;
use crate::engine::{MapId, RunId};
use crate::future::TaskFuture;
use crate::handle::{Handle, MapCell, RunCell};
use crate::mapped::Mapped;

/// One edge to something upstream, as arguments show it to `submit`.
pub(crate) struct Edge<'a> {
    pub(crate) upstream: Upstream<'a>,
    /// A failed upstream does not stop the dependent.
    pub(crate) allow_failure: bool,
}

pub(crate) enum Upstream<'a> {
    Run(&'a Handle<RunId>),
    Row(&'a Handle<MapId>, u32),
    /// All these rows; `None` for the whole map.
    Rows(&'a Handle<MapId>, Option<Range<u32>>),
    /// An argument that can never be had.
    Rejected(&'a crate::Error),
}

/// Runs that another run waits for without taking their values.
#[derive(Clone, Default)]
pub struct Dependencies(Vec<Dependency>);

#[derive(Clone)]
struct Dependency {
    upstream: Arc<dyn Waitable>,
    allow_failure: bool,
}

impl fmt::Debug for Dependencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dependencies({})", self.0.len())
    }
}

impl Dependencies {
    pub(crate) fn edges<'a>(&'a self, visit: &mut dyn FnMut(Edge<'a>)) {
        for dependency in &self.0 {
            visit(Edge {
                upstream: dependency.upstream.upstream(),
                allow_failure: dependency.allow_failure,
            });
        }
    }

    fn push(&mut self, upstream: Arc<dyn Waitable>) {
        self.0.push(Dependency {
            upstream,
            allow_failure: false,
        });
    }
}

trait Waitable: Send + Sync {
    fn upstream(&self) -> Upstream<'_>;
}

impl<T: Send + Sync> Waitable for RunCell<T> {
    fn upstream(&self) -> Upstream<'_> {
        Upstream::Run(self.handle())
    }
}

impl<T: Send + Sync> Waitable for MapCell<T> {
    fn upstream(&self) -> Upstream<'_> {
        Upstream::Rows(self.handle(), None)
    }
}

struct SomeRows<T>(Arc<MapCell<T>>, Range<u32>);

impl<T: Send + Sync> Waitable for SomeRows<T> {
    fn upstream(&self) -> Upstream<'_> {
        Upstream::Rows(self.0.handle(), Some(self.1.clone()))
    }
}

/// What `task.after(..)` takes: futures, maps, tuples, slices or vectors of them,
/// and each of these in `allow_failure(..)`.
#[diagnostic::on_unimplemented(
    message = "`after` wants futures or maps, but got `{Self}`",
    label = "not a future, a map or a list of them"
)]
pub trait IntoDependencies {
    /// Adds these runs.
    #[doc(hidden)]
    fn add_to(self, dependencies: &mut Dependencies);
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoDependencies for &TaskFuture<T> {
    fn add_to(self, dependencies: &mut Dependencies) {
        dependencies.push(match self.place() {
            crate::future::Place::Run(cell) => Arc::clone(cell) as Arc<dyn Waitable>,
            crate::future::Place::Row(cell, row) => {
                Arc::new(SomeRows(Arc::clone(cell), *row..*row + 1))
            }
        });
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoDependencies for &Mapped<T> {
    fn add_to(self, dependencies: &mut Dependencies) {
        dependencies.push(match self.rows() {
            None => Arc::clone(self.cell()) as Arc<dyn Waitable>,
            Some(rows) => Arc::new(SomeRows(Arc::clone(self.cell()), rows.clone())),
        });
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoDependencies for TaskFuture<T> {
    fn add_to(self, dependencies: &mut Dependencies) {
        (&self).add_to(dependencies);
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoDependencies for Mapped<T> {
    fn add_to(self, dependencies: &mut Dependencies) {
        (&self).add_to(dependencies);
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoDependencies for &[TaskFuture<T>] {
    fn add_to(self, dependencies: &mut Dependencies) {
        for future in self {
            future.add_to(dependencies);
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> IntoDependencies for &Vec<TaskFuture<T>> {
    fn add_to(self, dependencies: &mut Dependencies) {
        self.as_slice().add_to(dependencies);
    }
}

#[diagnostic::do_not_recommend]
impl<D: IntoDependencies> IntoDependencies for AllowFailure<D> {
    fn add_to(self, dependencies: &mut Dependencies) {
        let first = dependencies.0.len();
        self.0.add_to(dependencies);
        for dependency in &mut dependencies.0[first..] {
            dependency.allow_failure = true;
        }
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        #[diagnostic::do_not_recommend]
        impl<$($name: IntoDependencies),+> IntoDependencies for ($($name,)+) {
            #[allow(non_snake_case)]
            fn add_to(self, dependencies: &mut Dependencies) {
                let ($($name,)+) = self;
                $($name.add_to(dependencies);)+
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
