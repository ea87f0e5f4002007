//! How many runs ran at once, over time, in bounded memory.
//!
//! Invariant: at most [`BINS`] bins; when time goes beyond them their width
//! doubles.

use std::time::Duration;

use crate::clock::Timestamp;

const BINS: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct Profile {
    start: Timestamp,
    /// Nanoseconds per bin.
    width: u64,
    /// Nanoseconds that runs ran in each bin.
    busy: Vec<u64>,
}

impl Profile {
    /// Runs that start no earlier than this.
    pub(super) fn new(start: Timestamp) -> Self {
        Self {
            start,
            width: 1_000,
            busy: Vec::new(),
        }
    }

    /// One run.
    pub(super) fn add(&mut self, started: Timestamp, ended: Timestamp) {
        let from = nanoseconds(started.duration_since(self.start));
        let to = nanoseconds(ended.duration_since(self.start)).max(from + 1);
        while (to - 1) / self.width >= BINS as u64 {
            self.double();
        }
        let (first, last) = (from / self.width, (to - 1) / self.width);
        if self.busy.len() <= last as usize {
            self.busy.resize(last as usize + 1, 0);
        }
        for bin in first..=last {
            let overlap = to.min((bin + 1) * self.width) - from.max(bin * self.width);
            self.busy[bin as usize] += overlap;
        }
    }

    fn double(&mut self) {
        self.width *= 2;
        self.busy = self.busy.chunks(2).map(|pair| pair.iter().sum()).collect();
    }

    pub(super) fn start(&self) -> Timestamp {
        self.start
    }

    /// The end of the last bin.
    pub(super) fn end(&self) -> Timestamp {
        self.start + Duration::from_nanos(self.width * self.busy.len() as u64)
    }

    /// The mean number of runs that ran, bin by bin.
    pub(super) fn levels(&self) -> impl Iterator<Item = f64> {
        self.busy
            .iter()
            .map(|busy| *busy as f64 / self.width as f64)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_runs_take_is_kept_as_bins_grow() {
        let at = Timestamp::from_nanoseconds;
        let mut profile = Profile::new(at(1_000));
        for run in 0..10_000 {
            profile.add(at(1_000 + run * 700), at(1_000 + run * 700 + 1_400));
        }
        assert!(profile.busy.len() <= BINS);
        assert_eq!(profile.busy.iter().sum::<u64>(), 14_000_000);
        let middle = profile.levels().nth(3).unwrap();
        assert!((middle - 2.0).abs() < 0.1, "{middle}");
        // One long run after many short ones.
        profile.add(at(1_000), at(3_600_000_000_000));
        assert!(profile.busy.len() <= BINS);
    }
}
