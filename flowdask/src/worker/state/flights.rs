//! Requests to peers that are under way.
//!
//! Invariant: a peer is asked one thing at a time, a key is asked of one peer
//! at a time, and only so many peers are asked, for so much.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::event::{Peer, Request};
use crate::wire::Key;

/// How much is asked of a peer at a time, as stock workers do
/// (`distributed.worker.transfer.message-bytes-limit`).
const MESSAGE_BYTES: u64 = 50_000_000;

/// How many peers are asked at a time (`distributed.worker.connections.incoming`).
const PEERS_AT_A_TIME: usize = 10;

#[derive(Debug)]
pub(super) struct Flights {
    flights: BTreeMap<Request, Flight>,
    /// The keys of all flights.
    flying: HashMap<Key, Request>,
    /// Peers that were busy a moment ago.
    resting: HashSet<Peer>,
    next_request: u64,
    /// How much may be under way at a time, if memory is limited.
    limit: Option<u64>,
}

#[derive(Debug)]
struct Flight {
    peer: Peer,
    keys: Vec<Key>,
    nbytes: u64,
}

impl Flights {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            flights: BTreeMap::new(),
            flying: HashMap::new(),
            resting: HashSet::new(),
            next_request: 0,
            limit,
        }
    }

    /// How much is under way.
    pub(super) fn nbytes(&self) -> u64 {
        self.flights.values().map(|flight| flight.nbytes).sum()
    }

    pub(super) fn carry(&self, key: &Key) -> bool {
        self.flying.contains_key(key)
    }

    pub(super) fn may_ask_one_more(&self) -> bool {
        self.flights.len() < PEERS_AT_A_TIME
    }

    pub(super) fn may_ask(&self, peer: &Peer) -> bool {
        !self.resting.contains(peer) && self.flights.values().all(|flight| flight.peer != *peer)
    }

    /// How much one more request may be for.
    pub(super) fn room(&self) -> u64 {
        match self.limit {
            Some(limit) => MESSAGE_BYTES.min(limit.saturating_sub(self.nbytes())),
            None => MESSAGE_BYTES,
        }
    }

    /// Whether a value may be asked for however large it is: it has to come
    /// some time.
    pub(super) fn may_exceed_room(&self) -> bool {
        self.flights.is_empty() || self.limit.is_none()
    }

    pub(super) fn take_off(&mut self, peer: Peer, keys: Vec<Key>, nbytes: u64) -> Request {
        let request = Request(self.next_request);
        self.next_request += 1;
        for key in &keys {
            self.flying.insert(key.clone(), request);
        }
        let flight = Flight { peer, keys, nbytes };
        self.flights.insert(request, flight);
        request
    }

    /// Who was asked for what; None if the request was forgotten meanwhile.
    pub(super) fn land(&mut self, request: Request) -> Option<(Peer, Vec<Key>)> {
        let flight = self.flights.remove(&request)?;
        for key in &flight.keys {
            self.flying.remove(key);
        }
        Some((flight.peer, flight.keys))
    }

    pub(super) fn rest(&mut self, peer: &Peer) {
        self.resting.insert(peer.clone());
    }

    pub(super) fn rested(&mut self, peer: &Peer) {
        self.resting.remove(peer);
    }

    /// Forgets all that is under way. Requests are never numbered the same.
    pub(super) fn clear(&mut self) {
        self.flights.clear();
        self.flying.clear();
        self.resting.clear();
    }
}
