//! Values that come, go, and are asked for.

use super::event::{Command, Message, Remote, Request};
use super::{Priority, Rank, State};
use crate::wire::Key;

impl<W: Clone> State<W> {
    pub(super) fn fetch(&mut self) {
        let seed = &mut self.seed;
        let mut draw = |many: usize| {
            // SplitMix64.
            *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % many as u64) as usize
        };
        while let Some(departure) = self.data.depart(&mut draw) {
            self.commands.push(Command::Fetch {
                request: departure.request,
                peer: departure.peer,
                keys: departure.keys,
            });
        }
    }

    pub(super) fn fetched(&mut self, request: Request, found: &[(Key, u64)]) {
        let Some((peer, asked)) = self.data.landed(request) else {
            return;
        };
        let mut added = Vec::new();
        for (key, nbytes) in found {
            // A wish may have been taken back while the value was on its way.
            let wanted = self.data.is_wanted(key) || self.runs.contains_key(key);
            if wanted && asked.contains(key) && self.arrived(key, *nbytes) {
                added.push(key.clone());
            }
        }
        for key in &asked {
            if !found.iter().any(|(found, _)| found == key) {
                self.data.not_at(key, &peer);
            }
        }
        self.data.settle_all(&asked);
        if !added.is_empty() {
            self.send(Message::AddKeys(added));
        }
    }

    pub(super) fn peer_busy(&mut self, request: Request) {
        if let Some((peer, asked)) = self.data.landed(request) {
            self.data.flights().rest(&peer);
            self.data.settle_all(&asked);
            self.commands.push(Command::Rest(peer));
        }
    }

    pub(super) fn peer_failed(&mut self, request: Request) {
        if let Some((peer, asked)) = self.data.landed(request) {
            self.data.settle_all(&asked);
            self.data.lost_peer(&peer);
        }
    }

    /// A copy from elsewhere. True if it is kept as a copy.
    pub(super) fn arrived(&mut self, key: &Key, nbytes: u64) -> bool {
        if self.data.holds(key) {
            return false;
        }
        match self.runs.get(key).map(|run| run.phase.execution()) {
            // It will be there in a moment, and reported.
            Some(Some(_)) => false,
            // What was to be computed is here already.
            Some(None) => {
                if let Some(run) = self.take_run(key) {
                    self.hold(key, nbytes, &run.rank);
                    self.send(Message::TaskFinished {
                        key: key.clone(),
                        run_id: run.run_id,
                    });
                }
                false
            }
            None => {
                let rank = self.rank(Priority::of_copies());
                self.hold(key, nbytes, &rank);
                true
            }
        }
    }

    pub(super) fn hold(&mut self, key: &Key, nbytes: u64, rank: &Rank) {
        self.commands.push(Command::Store(key.clone()));
        for dependent in self.data.hold(key, nbytes, rank) {
            self.input_came(&dependent);
        }
    }

    pub(super) fn drop_value(&mut self, key: &Key) {
        self.commands.push(Command::Drop(key.clone()));
        for dependent in self.data.drop_value(key) {
            self.input_went(&dependent);
        }
    }

    pub(super) fn lost(&mut self, key: &Key) {
        if self.data.holds(key) {
            self.drop_value(key);
            self.send(Message::ReleaseWorkerData(key.clone()));
        }
    }

    pub(super) fn free_keys(&mut self, keys: &[Key]) {
        for key in keys {
            self.take_back(key);
            self.data.disown(key);
            self.lost(key);
        }
    }

    pub(super) fn remove_replicas(&mut self, keys: Vec<Key>) {
        let mut kept = Vec::new();
        for key in keys {
            if !self.data.holds(&key) {
                continue;
            }
            if self.data.is_needed(&key) {
                kept.push(key);
            } else {
                self.lost(&key);
            }
        }
        if !kept.is_empty() {
            self.send(Message::AddKeys(kept));
        }
    }

    pub(super) fn acquire_replicas(&mut self, remotes: &[Remote]) {
        let rank = self.rank(Priority::of_copies());
        for remote in remotes {
            self.data.acquire(&remote.key, &rank);
            self.data
                .found_at(&remote.key, &remote.peers, remote.nbytes);
        }
    }

    pub(super) fn refresh_who_has(&mut self, remotes: &[Remote]) {
        for remote in remotes {
            self.data
                .found_at(&remote.key, &remote.peers, remote.nbytes);
        }
    }
}
