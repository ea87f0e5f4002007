//! Which resources need which others, while they are made.
//!
//! Invariant: the needs that are noted have no circle; the one that would
//! close one is refused, so nobody waits for ever. Knows nothing of how a
//! resource is made. What an initializer starts elsewhere (a task, a thread)
//! is not seen as part of it.

use std::cell::Cell;
use std::panic::Location;

use parking_lot::Mutex;

use crate::error::{Error, Result};

/// A resource as an error names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    /// Where it lies: no two have one place.
    pub(super) address: usize,
    pub(super) type_name: &'static str,
    pub(super) made_at: &'static Location<'static>,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

thread_local! {
    /// What the code on this thread is making.
    static MAKING: Cell<Option<Name>> = const { Cell::new(None) };
}

/// The first is being made and waits for the second.
static NEEDS: Mutex<Vec<(Name, Name)>> = Mutex::new(Vec::new());

/// Runs code of the initializer of `name`.
pub(super) fn making<R>(name: Name, code: impl FnOnce() -> R) -> R {
    struct Restore(Option<Name>);
    impl Drop for Restore {
        fn drop(&mut self) {
            MAKING.set(self.0);
        }
    }
    let _restore = Restore(MAKING.replace(Some(name)));
    code()
}

/// A need, until this is dropped.
#[derive(Debug)]
pub(super) struct Need(Name, Name);

impl Drop for Need {
    fn drop(&mut self) {
        let mut needs = NEEDS.lock();
        if let Some(at) = needs.iter().position(|it| *it == (self.0, self.1)) {
            needs.swap_remove(at);
        }
    }
}

/// The code here needs a resource; nothing is noted outside of initializers.
///
/// # Errors
///
/// What it is making is needed for that resource.
pub(super) fn need(wanted: Name) -> Result<Option<Need>> {
    let Some(maker) = MAKING.get() else {
        return Ok(None);
    };
    let mut needs = NEEDS.lock();
    if let Some(path) = path(&needs, wanted, maker) {
        return Err(circle(&path));
    }
    needs.push((maker, wanted));
    Ok(Some(Need(maker, wanted)))
}

/// From one resource to another along needs, both included.
fn path(needs: &[(Name, Name)], from: Name, to: Name) -> Option<Vec<Name>> {
    let mut paths = vec![vec![from]];
    let mut seen = vec![from];
    while let Some(path) = paths.pop() {
        let last = *path.last()?;
        if last == to {
            return Some(path);
        }
        for (_, next) in needs.iter().filter(|(maker, _)| *maker == last) {
            if !seen.contains(next) {
                seen.push(*next);
                paths.push([&path[..], &[*next]].concat());
            }
        }
    }
    None
}

/// The circle in which each needs the next, and the last the first.
fn circle(path: &[Name]) -> Error {
    let names = path.iter().chain(path.first());
    let names = names.map(|name| format!("`{}` ({})", name.type_name, name.made_at));
    let names: Vec<_> = names.collect();
    Error::invalid(format!(
        "resources need each other, so none of them can be made: {}; let one of them be made \
         without the next",
        names.join(" needs ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(address: usize) -> Name {
        Name {
            address,
            type_name: "T",
            made_at: Location::caller(),
        }
    }

    fn addresses(path: Option<Vec<Name>>) -> Option<Vec<usize>> {
        path.map(|path| path.iter().map(|name| name.address).collect())
    }

    #[test]
    fn a_path_is_found_through_branches_and_loops_end() {
        let needs = [(1, 2), (1, 3), (3, 4), (4, 3), (4, 5)];
        let needs = needs.map(|(maker, wanted)| (name(maker), name(wanted)));
        assert_eq!(
            addresses(path(&needs, name(1), name(5))),
            Some(vec![1, 3, 4, 5])
        );
        assert_eq!(addresses(path(&needs, name(2), name(1))), None);
        assert_eq!(addresses(path(&needs, name(7), name(7))), Some(vec![7]));
    }

    #[test]
    fn a_need_that_has_gone_closes_no_circle() {
        let (one, two) = (name(usize::MAX), name(usize::MAX - 1));
        let noted = making(one, || need(two)).unwrap();
        let refused = making(two, || need(one)).unwrap_err().to_string();
        assert!(refused.contains("`T` ("), "{refused}");
        drop(noted);
        assert!(making(two, || need(one)).unwrap().is_some());
        assert!(need(one).unwrap().is_none(), "nothing is made here");
    }
}
