//! The shell around the limits' state machine: a lock, a timer, and somebody
//! to tell for each request that waits.
//!
//! Invariants: a [`Permit`] gives its slots back when it is dropped, however
//! that happens; whoever waits is told without any lock held, by one thread at
//! a time, so that being told may give permits back.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::engine::{Answer, LimitId, Limits, Refusal, Slots, Ticket};
use crate::error::Error;
#[cfg(feature = "prefect")]
use crate::prefect::slots::ServerSlots;
use crate::runner::SlotsElsewhere;
use crate::runtime::now;
use crate::world::World;

/// Slots for one run, until this is dropped.
pub(crate) struct Permit {
    slots: Slots,
    /// Where they go back to; nowhere if they come back by themselves.
    limits: Option<Arc<LimitsHere>>,
    /// Those that the flow's process holds for a run of this one.
    _elsewhere: Option<SlotsElsewhere>,
    /// Those that a Prefect server holds.
    #[cfg(feature = "prefect")]
    _server: Option<ServerSlots>,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.slots).finish()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limits) = self.limits.take() {
            limits.change(|limits, now| limits.release(&self.slots, now));
        }
    }
}

impl Permit {
    fn of(
        slots: Slots,
        limits: Option<Arc<LimitsHere>>,
        elsewhere: Option<SlotsElsewhere>,
    ) -> Self {
        Self {
            slots,
            limits,
            _elsewhere: elsewhere,
            #[cfg(feature = "prefect")]
            _server: None,
        }
    }

    fn new(limits: &Arc<LimitsHere>, slots: &Slots) -> Self {
        Self::of(Arc::clone(slots), Some(Arc::clone(limits)), None)
    }

    pub(crate) fn elsewhere(slots: SlotsElsewhere) -> Self {
        Self::of(Slots::default(), None, Some(slots))
    }

    /// No slots at all.
    #[cfg(feature = "prefect")]
    pub(crate) fn none() -> Self {
        Self::of(Slots::default(), None, None)
    }

    /// And those.
    #[cfg(feature = "prefect")]
    pub(crate) fn and_on_server(mut self, slots: Option<ServerSlots>) -> Self {
        self._server = slots;
        self
    }

    /// The slots come back by themselves.
    pub(crate) fn leave(mut self) {
        self.limits = None;
    }

    /// Gives the slots back under a lock that those may need who wait for
    /// them: [`tell`] follows without it.
    pub(crate) fn give_back(mut self) {
        if let Some(limits) = self.limits.take() {
            limits.quietly(|limits, now| limits.release(&self.slots, now));
        }
    }
}

/// What becomes of a request that had to wait.
pub(crate) enum Reply {
    Granted(Vec<Permit>),
    Refused(Error),
}

/// What becomes of a request at once.
pub(crate) struct Requested {
    pub(crate) granted: Vec<Permit>,
    /// The rest waits, and its waiter is told.
    pub(crate) ticket: Option<Ticket>,
}

type Waiter = Arc<dyn Fn(Ticket, Reply) + Send + Sync>;

#[derive(Default)]
struct State {
    limits: Limits,
    waiters: HashMap<Ticket, Waiter>,
    /// When the timer rings.
    rings_at: Option<Timestamp>,
}

/// The limits of the process, or of a test's own world.
#[derive(Default)]
pub(crate) struct LimitsHere {
    state: Mutex<State>,
    /// Whether there ever was a limit.
    is_used: AtomicBool,
    turn: Mutex<()>,
}

/// Those that the code on this thread is under.
pub(super) fn here() -> Arc<LimitsHere> {
    static OF_PROCESS: LazyLock<Arc<LimitsHere>> = LazyLock::new(Arc::default);
    World::here(|world| Arc::clone(world.map_or(&OF_PROCESS, World::limits)))
}

/// Changes the limits and tells whoever waited for it.
pub(super) fn change<R>(change: impl FnOnce(&mut Limits, Timestamp) -> R) -> R {
    here().change(change)
}

/// The limit of runs with a tag is named by this and the tag.
pub(crate) const TAG_PREFIX: &str = "tag:";

/// The names of the limits that runs with these tags are under, if there are
/// such limits.
pub(crate) fn names_of_tags<'a>(
    tags: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = String> {
    tags.map(|tag| format!("{TAG_PREFIX}{tag}"))
}

/// The slots that runs with these tags take, where there is a limit.
pub(crate) fn slots_of_tags<'a>(tags: impl Iterator<Item = &'a str>) -> Vec<(LimitId, u64)> {
    let mut tags = tags.peekable();
    if tags.peek().is_none() {
        return Vec::new();
    }
    let here = here();
    if !here.is_used.load(Ordering::Acquire) {
        return Vec::new();
    }
    let state = here.state.lock();
    let mut found: Vec<_> = names_of_tags(tags)
        .filter_map(|name| state.limits.find(&name))
        .map(|id| (id, 1))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Asks for slots, for each of `units` the same. What cannot have them at once
/// waits; another thread may call the waiter before this returns.
pub(crate) fn request(
    slots: &Slots,
    units: u32,
    priority: i32,
    waiter: impl FnOnce() -> Waiter,
) -> Result<Requested, Error> {
    here().request(slots, units, priority, waiter)
}

/// Nobody waits for this any more; [`tell`] follows.
pub(crate) fn forget(ticket: Ticket) {
    here().forget(ticket);
}

/// Tells all who wait what became of it.
pub(crate) fn tell() {
    here().tell();
}

impl LimitsHere {
    pub(super) fn change<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Limits, Timestamp) -> R,
    ) -> R {
        let result = self.quietly(change);
        self.tell();
        result
    }

    /// Changes the limits; whoever waited for it is told by the next
    /// [`tell`](Self::tell).
    fn quietly<R>(self: &Arc<Self>, change: impl FnOnce(&mut Limits, Timestamp) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state.limits, now());
        self.wind(&mut state);
        if !state.limits.is_empty() {
            self.is_used.store(true, Ordering::Release);
        }
        result
    }

    fn request(
        self: &Arc<Self>,
        slots: &Slots,
        units: u32,
        priority: i32,
        waiter: impl FnOnce() -> Waiter,
    ) -> Result<Requested, Error> {
        let mut state = self.state.lock();
        let received = state
            .limits
            .request(slots, units, priority, now())
            .map_err(|refusal| refused(&refusal))?;
        if let Some(ticket) = received.ticket {
            state.waiters.insert(ticket, waiter());
        }
        self.wind(&mut state);
        if state.limits.has_answers() {
            // Not here: the caller may hold a lock that the others need.
            let here = Arc::clone(self);
            crate::runtime::later(Duration::ZERO, move || here.tell());
        }
        drop(state);
        Ok(Requested {
            granted: self.permits(slots, received.granted),
            ticket: received.ticket,
        })
    }

    fn forget(self: &Arc<Self>, ticket: Ticket) {
        let waiter = self.state.lock().waiters.remove(&ticket);
        if waiter.is_some() {
            self.quietly(|limits, _| limits.forget(ticket));
        }
    }

    fn permits(self: &Arc<Self>, slots: &Slots, count: u32) -> Vec<Permit> {
        (0..count).map(|_| Permit::new(self, slots)).collect()
    }

    /// Sets the timer for slots that time alone brings back.
    fn wind(self: &Arc<Self>, state: &mut State) {
        let Some(due) = state.limits.next_due() else {
            return;
        };
        if state.rings_at.is_some_and(|rings_at| rings_at <= due) {
            return;
        }
        state.rings_at = Some(due);
        let here = Arc::clone(self);
        crate::runtime::later(due.duration_since(now()), move || here.ring());
    }

    fn ring(self: &Arc<Self>) {
        self.state.lock().rings_at = None;
        self.change(Limits::tick);
    }

    /// Whoever has the turn looks again after giving it back, so nobody waits
    /// for a turn.
    fn tell(self: &Arc<Self>) {
        while self.state.lock().limits.has_answers() {
            let Some(_turn) = self.turn.try_lock() else {
                return;
            };
            while let Some((ticket, waiter, reply)) = self.next_reply() {
                match waiter {
                    Some(waiter) => waiter(ticket, reply),
                    // Forgotten meanwhile: its permits go back.
                    None => drop(reply),
                }
            }
        }
    }

    fn next_reply(self: &Arc<Self>) -> Option<(Ticket, Option<Waiter>, Reply)> {
        let mut state = self.state.lock();
        let (ticket, answer) = state.limits.next_answer()?;
        let waiter = match state.limits.is_open(ticket) {
            true => state.waiters.get(&ticket).cloned(),
            false => state.waiters.remove(&ticket),
        };
        let reply = match answer {
            Answer::Granted(units, slots) => Reply::Granted(self.permits(&slots, units)),
            Answer::Refused(refusal) => Reply::Refused(refused(&refusal)),
        };
        Some((ticket, waiter, reply))
    }
}

fn refused(refusal: &Refusal) -> Error {
    let Refusal { name, limit, slots } = refusal;
    Error::invalid(match limit {
        0 => format!(
            "concurrency limit '{name}' has 0 slots, so nothing can ever take one: raise it with \
             `flowcore::limits().set(\"{name}\", ..)`, or remove it"
        ),
        _ => format!(
            "{slots} slots of concurrency limit '{name}' were asked for, but it has {limit}: raise \
             it with `flowcore::limits().set(\"{name}\", ..)`, or ask for fewer"
        ),
    })
}
