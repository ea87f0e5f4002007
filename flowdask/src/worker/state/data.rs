//! Values: which are here, which are wanted, and where those can be had.
//!
//! Invariant: a value that is wanted, lies with known peers, is not on its way
//! and is not made here stands in the line of each of these peers, and in no
//! other line.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Rank;
use super::event::{Peer, Request};
use super::flights::Flights;
use crate::wire::Key;

/// What is known of a key's value.
#[derive(Debug)]
struct Datum {
    place: Place,
    /// Runs here that cannot start without it.
    dependents: HashSet<Key>,
    /// The scheduler wants a copy here.
    acquired: bool,
    nbytes: u64,
    rank: Rank,
    peers: BTreeSet<Peer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Held,
    /// In the lines of its peers.
    Queued,
    Flying,
    /// A run here makes it.
    Made,
    /// Nobody is known to have it.
    Missing,
}

/// One request that may go out now.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) request: Request,
    pub(super) peer: Peer,
    pub(super) keys: Vec<Key>,
}

#[derive(Debug)]
pub(super) struct Data {
    own: Peer,
    data: HashMap<Key, Datum>,
    lines: BTreeMap<Peer, BTreeSet<(Rank, Key)>>,
    flights: Flights,
    /// Missing keys, to be asked for.
    unasked: BTreeSet<Key>,
    /// Keys that the scheduler was asked for since the last tick. A peer that
    /// has not what the scheduler believes must not make us ask all the time.
    asked: BTreeSet<Key>,
    made_here: HashSet<Key>,
}

impl Data {
    pub(super) fn new(own: Peer, incoming_limit: Option<u64>) -> Self {
        Self {
            own,
            data: HashMap::new(),
            lines: BTreeMap::new(),
            flights: Flights::new(incoming_limit),
            unasked: BTreeSet::new(),
            asked: BTreeSet::new(),
            made_here: HashSet::new(),
        }
    }

    pub(super) fn holds(&self, key: &Key) -> bool {
        self.data
            .get(key)
            .is_some_and(|datum| datum.place == Place::Held)
    }

    /// How much is on its way.
    pub(super) fn incoming(&self) -> u64 {
        self.flights.nbytes()
    }

    /// Whether a run that waits or is ready needs it.
    pub(super) fn is_needed(&self, key: &Key) -> bool {
        self.data
            .get(key)
            .is_some_and(|datum| !datum.dependents.is_empty())
    }

    /// Whether it is not here, and somebody here or the scheduler wants it.
    pub(super) fn is_wanted(&self, key: &Key) -> bool {
        self.data
            .get(key)
            .is_some_and(|datum| datum.place != Place::Held)
    }

    /// A run needs this value. True if it is here.
    pub(super) fn need(&mut self, key: &Key, dependent: &Key, rank: &Rank) -> bool {
        let datum = self.entry(key, rank);
        datum.dependents.insert(dependent.clone());
        let sooner = (datum.rank > *rank).then(|| rank.clone());
        if let Some(sooner) = sooner {
            self.leave_lines(key);
            self.entry(key, rank).rank = sooner;
        }
        self.settle(key);
        self.holds(key)
    }

    /// A run does not need it any more.
    pub(super) fn release(&mut self, key: &Key, dependent: &Key) {
        if let Some(datum) = self.data.get_mut(key) {
            datum.dependents.remove(dependent);
            self.settle(key);
        }
    }

    /// The scheduler wants a copy here.
    pub(super) fn acquire(&mut self, key: &Key, rank: &Rank) {
        self.entry(key, rank).acquired = true;
        self.settle(key);
    }

    /// Where a value lies, if anybody here wants it.
    pub(super) fn found_at(&mut self, key: &Key, peers: &[Peer], nbytes: u64) {
        if !self.data.contains_key(key) {
            return;
        }
        self.leave_lines(key);
        let own = self.own.clone();
        if let Some(datum) = self.data.get_mut(key) {
            datum.peers = peers.iter().filter(|peer| **peer != own).cloned().collect();
            if datum.place != Place::Held && nbytes > 0 {
                datum.nbytes = nbytes;
            }
        }
        self.settle(key);
    }

    /// A run here makes this value, or no longer does.
    pub(super) fn made_here(&mut self, key: &Key, made: bool) {
        if made {
            self.made_here.insert(key.clone());
        } else {
            self.made_here.remove(key);
        }
        self.settle(key);
    }

    /// A value came or was made. The runs that waited for it.
    pub(super) fn hold(&mut self, key: &Key, nbytes: u64, rank: &Rank) -> Vec<Key> {
        self.leave_lines(key);
        let datum = self.entry(key, rank);
        datum.place = Place::Held;
        datum.nbytes = nbytes;
        datum.acquired = false;
        datum.peers.clear();
        let mut dependents: Vec<Key> = datum.dependents.iter().cloned().collect();
        dependents.sort();
        self.unasked.remove(key);
        dependents
    }

    /// The value is not here any more. The runs that have to wait again.
    pub(super) fn drop_value(&mut self, key: &Key) -> Vec<Key> {
        let Some(datum) = self.data.get_mut(key) else {
            return Vec::new();
        };
        datum.place = Place::Missing;
        let mut dependents: Vec<Key> = datum.dependents.iter().cloned().collect();
        dependents.sort();
        self.settle(key);
        dependents
    }

    /// The scheduler takes its wish for a copy back.
    pub(super) fn disown(&mut self, key: &Key) {
        if let Some(datum) = self.data.get_mut(key) {
            datum.acquired = false;
            self.settle(key);
        }
    }

    /// Keys of a request that did not come: where else are they?
    pub(super) fn settle_all(&mut self, keys: &[Key]) {
        for key in keys {
            self.settle(key);
        }
    }

    /// A peer turned out not to have a value.
    pub(super) fn not_at(&mut self, key: &Key, peer: &Peer) {
        self.leave_lines(key);
        if let Some(datum) = self.data.get_mut(key) {
            datum.peers.remove(peer);
            self.settle(key);
        }
    }

    /// Nothing can be had from this peer any more.
    pub(super) fn lost_peer(&mut self, peer: &Peer) {
        let mut touched: Vec<Key> = self
            .data
            .iter()
            .filter(|(_, datum)| datum.peers.contains(peer))
            .map(|(key, _)| key.clone())
            .collect();
        touched.sort();
        for key in &touched {
            self.not_at(key, peer);
        }
    }

    /// What nobody is known to have, each key once between two ticks.
    pub(super) fn take_unasked(&mut self) -> Vec<Key> {
        let keys: Vec<Key> = std::mem::take(&mut self.unasked).into_iter().collect();
        self.asked.extend(keys.iter().cloned());
        keys
    }

    /// Missing keys may be asked for again.
    pub(super) fn tick(&mut self) {
        for key in std::mem::take(&mut self.asked) {
            self.settle(&key);
        }
    }

    /// The next request that may go out. `draw` chooses among peers that have
    /// the same to offer.
    pub(super) fn depart(&mut self, draw: &mut impl FnMut(usize) -> usize) -> Option<Departure> {
        if !self.flights.may_ask_one_more() {
            return None;
        }
        let peer = self.best_peer(draw)?;
        let (room, may_exceed) = (self.flights.room(), self.flights.may_exceed_room());
        let mut keys = Vec::new();
        let mut nbytes = 0_u64;
        for (_, key) in &self.lines[&peer] {
            let sum = nbytes.saturating_add(self.data[key].nbytes);
            if sum > room && !(keys.is_empty() && may_exceed) {
                break;
            }
            nbytes = sum;
            keys.push(key.clone());
        }
        if keys.is_empty() {
            return None;
        }
        let request = self.flights.take_off(peer.clone(), keys.clone(), nbytes);
        for key in &keys {
            self.settle(key);
        }
        Some(Departure {
            request,
            peer,
            keys,
        })
    }

    /// The peer with the most urgent offer of those that may be asked.
    fn best_peer(&self, draw: &mut impl FnMut(usize) -> usize) -> Option<Peer> {
        let mut best: Vec<(&(Rank, Key), &Peer)> = Vec::new();
        for (peer, line) in &self.lines {
            let Some(offer) = line.first().filter(|_| self.flights.may_ask(peer)) else {
                continue;
            };
            match best.first().map(|(first, _)| offer.cmp(first)) {
                Some(Ordering::Greater) => continue,
                Some(Ordering::Less) => best.clear(),
                Some(Ordering::Equal) | None => {}
            }
            best.push((offer, peer));
        }
        let chosen = match best.len() {
            0 => return None,
            1 => 0,
            many => draw(many),
        };
        Some(best[chosen].1.clone())
    }

    /// A request ended; the keys that it was for may be asked of others, once
    /// they are [settled](Self::settle_all). None if it was forgotten meanwhile.
    pub(super) fn landed(&mut self, request: Request) -> Option<(Peer, Vec<Key>)> {
        self.flights.land(request)
    }

    /// The requests that are under way.
    pub(super) fn flights(&mut self) -> &mut Flights {
        &mut self.flights
    }

    /// Everything is gone, also what is on its way. The keys that were here.
    pub(super) fn clear(&mut self) -> Vec<Key> {
        let mut held: Vec<Key> = self
            .data
            .drain()
            .filter(|(_, datum)| datum.place == Place::Held)
            .map(|(key, _)| key)
            .collect();
        held.sort();
        self.lines.clear();
        self.flights.clear();
        self.unasked.clear();
        self.asked.clear();
        self.made_here.clear();
        held
    }

    fn entry(&mut self, key: &Key, rank: &Rank) -> &mut Datum {
        self.data.entry(key.clone()).or_insert_with(|| Datum {
            place: Place::Missing,
            dependents: HashSet::new(),
            acquired: false,
            nbytes: 0,
            rank: rank.clone(),
            peers: BTreeSet::new(),
        })
    }

    fn leave_lines(&mut self, key: &Key) {
        let Some(datum) = self.data.get_mut(key) else {
            return;
        };
        if datum.place != Place::Queued {
            return;
        }
        datum.place = Place::Missing;
        let entry = (datum.rank.clone(), key.clone());
        for peer in &datum.peers {
            if let Some(line) = self.lines.get_mut(peer) {
                line.remove(&entry);
                if line.is_empty() {
                    self.lines.remove(peer);
                }
            }
        }
    }

    /// Brings one key to where it belongs after anything about it changed.
    fn settle(&mut self, key: &Key) {
        let made = self.made_here.contains(key);
        let flying = self.flights.carry(key);
        let Some(datum) = self.data.get(key) else {
            return;
        };
        if datum.place == Place::Held {
            return;
        }
        if datum.dependents.is_empty() && !datum.acquired {
            self.leave_lines(key);
            self.data.remove(key);
            self.unasked.remove(key);
            return;
        }
        let place = if made {
            Place::Made
        } else if flying {
            Place::Flying
        } else if datum.peers.is_empty() {
            Place::Missing
        } else {
            Place::Queued
        };
        if place != Place::Queued {
            self.leave_lines(key);
        }
        let Some(datum) = self.data.get_mut(key) else {
            return;
        };
        if place == Place::Queued && datum.place != Place::Queued {
            for peer in &datum.peers {
                let line = self.lines.entry(peer.clone()).or_default();
                line.insert((datum.rank.clone(), key.clone()));
            }
        }
        datum.place = place;
        if place != Place::Missing {
            self.unasked.remove(key);
        } else if !self.asked.contains(key) {
            self.unasked.insert(key.clone());
        }
    }
}
