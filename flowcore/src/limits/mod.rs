//! Concurrency limits: how many runs, or parts of runs, do something at once.
//!
//! Owns [`Limits`], where limits are made, [`concurrency`] and [`rate_limit`],
//! which take slots in the middle of code, and the permits that runs hold. Who
//! gets slots is decided by `engine::limits`.

mod acquire;
mod permits;
mod resources;

pub use acquire::{ConcurrencySlots, LimitNames, SlotRequest, concurrency, rate_limit};
#[cfg(feature = "prefect")]
pub(crate) use permits::TAG_PREFIX;
pub(crate) use permits::{
    LimitsHere, Permit, Reply, forget, names_of_tags, request, slots_of_tags, tell,
};
pub use resources::OfferedResources;

use crate::error::{Error, Result};

/// The concurrency limits of this process; see [`limits`].
#[derive(Debug)]
pub struct Limits(());

/// The concurrency limits of this process.
///
/// A limit is a name and a number of slots. `"tag:database"` limits all task
/// runs with the tag `database`: each takes a slot before it starts and is
/// AwaitingConcurrencySlot until it has one. Any other name is for
/// [`concurrency`] and [`rate_limit`].
///
/// ```
/// use flowcore::prelude::*;
///
/// #[task(tags = ["database"])]
/// async fn query(table: &str) -> usize { table.len() }
///
/// #[flow]
/// async fn report() -> Result<Vec<usize>> {
///     query.map(["people", "places", "things", "times"]).await
/// }
///
/// # #[flowcore::main]
/// # async fn main() -> Result<()> {
/// // However many rows, flows and threads: two queries at once.
/// flowcore::limits().set("tag:database", 2);
/// assert_eq!(report().await?, [6, 6, 6, 5]);
/// # Ok(())
/// # }
/// ```
///
/// Slots are given in the order in which they were asked for; runs of a
/// higher [`priority`](crate::TaskOptions::priority) come first. A run has its
/// slot until it has ended, retries and the waits between them included. A
/// sync call that still runs after its run TimedOut keeps its slot until it
/// returns.
#[must_use]
pub fn limits() -> &'static Limits {
    static LIMITS: Limits = Limits(());
    &LIMITS
}

impl Limits {
    /// Makes a limit of so many slots, or changes the one of this name.
    ///
    /// Who holds slots keeps them; lowered, a limit waits until enough have
    /// come back. Whoever needs more slots than there are, which with 0 slots
    /// is everybody, gets an error and does not wait, as in Prefect.
    ///
    /// ```
    /// flowcore::limits().set("database", 3);
    /// ```
    pub fn set(&self, name: impl AsRef<str>, slots: u32) {
        permits::change(|limits, now| limits.set(name.as_ref(), slots.into(), None, now));
    }

    /// Makes a limit whose slots come back by themselves, so many per second:
    /// what [`rate_limit`] needs. `slots` is how many may be taken in a burst.
    ///
    /// # Errors
    ///
    /// `slot_decay_per_second` is not a number greater than zero.
    ///
    /// ```
    /// # fn main() -> flowcore::Result<()> {
    /// flowcore::limits().set_rate("api", 10, 2.5)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_rate(
        &self,
        name: impl AsRef<str>,
        slots: u32,
        slot_decay_per_second: f64,
    ) -> Result<()> {
        let name = name.as_ref();
        if !(slot_decay_per_second.is_finite() && slot_decay_per_second > 0.0) {
            return Err(Error::invalid(format!(
                "limit '{name}' cannot decay by {slot_decay_per_second} slots per second: give a \
                 number greater than zero, or use `limits().set(..)` for slots that are held"
            )));
        }
        let per_second = Some(slot_decay_per_second);
        permits::change(|limits, now| limits.set(name, slots.into(), per_second, now));
        Ok(())
    }

    /// Removes a limit: whoever waits for it waits no longer. Says whether
    /// there was one.
    pub fn remove(&self, name: impl AsRef<str>) -> bool {
        permits::change(|limits, _| limits.remove(name.as_ref()))
    }

    /// How many slots of a limit are taken; `None` without such a limit.
    #[must_use]
    pub fn active_slots(&self, name: impl AsRef<str>) -> Option<u32> {
        let active = permits::change(|limits, now| limits.active(name.as_ref(), now))?;
        Some(u32::try_from(active).unwrap_or(u32::MAX))
    }
}
