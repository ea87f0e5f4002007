//! Runs whose processes are gone while they waited for their next attempt.
//!
//! Such a run is scheduled, but its process's: that asks for the attempt when
//! it is due. It is nobody's if the server answers, and is not asked for a time
//! in which a process would have asked.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

/// A process asks for a minute at most, and then goes on without its server,
/// which it tells so as soon as it can.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// When they were due, and since when we see that nothing happens.
    overdue: HashMap<Uuid, (Timestamp, Timestamp)>,
}

impl Orphans {
    /// Which of these runs are nobody's: all that wait for processes of others,
    /// with the times at which they are due.
    pub(super) fn among(
        &mut self,
        waiting: impl IntoIterator<Item = (Uuid, Timestamp)>,
        now: Timestamp,
    ) -> Vec<Uuid> {
        let before = std::mem::take(&mut self.overdue);
        let overdue = waiting.into_iter().filter(|(_, due)| *due <= now);
        let overdue = overdue.map(|(run, due)| {
            let known = before.get(&run).filter(|(known, _)| *known == due);
            (run, (due, known.map_or(now, |(_, since)| *since)))
        });
        self.overdue = overdue.collect();
        let is_over = |since: Timestamp| {
            Duration::try_from(now.duration_since(since)).is_ok_and(|waited| waited >= PATIENCE)
        };
        let all = self.overdue.iter();
        let orphans = all.filter(|(_, (_, since))| is_over(*since));
        orphans.map(|(run, _)| *run).collect()
    }

    /// The server does not answer, perhaps nor does it to their processes.
    pub(super) fn nothing_is_known(&mut self) {
        self.overdue.clear();
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const RUN: Uuid = Uuid::from_u128(1);
    const NOBODY: [Uuid; 0] = [];

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_run_is_nobodys_when_nobody_has_asked_for_it_for_long() {
        let mut orphans = Orphans::default();
        let mut seen = |seconds, due| orphans.among([(RUN, at(due))], at(seconds));
        assert_eq!(seen(50, 100), NOBODY);
        // It may have been due for long when it is seen first.
        assert_eq!(seen(300, 100), NOBODY);
        assert_eq!(seen(419, 100), NOBODY);
        assert_eq!(seen(420, 100), [RUN]);
        // Another attempt.
        assert_eq!(seen(430, 425), NOBODY);
        assert_eq!(seen(550, 425), [RUN]);
    }

    #[test]
    fn time_counts_only_while_the_server_answers_and_the_run_waits() {
        for is_away in [true, false] {
            let mut orphans = Orphans::default();
            assert_eq!(orphans.among([(RUN, at(0))], at(10)), NOBODY);
            if is_away {
                orphans.nothing_is_known();
            } else {
                assert_eq!(orphans.among([], at(20)), NOBODY);
            }
            assert_eq!(orphans.among([(RUN, at(0))], at(140)), NOBODY);
            assert_eq!(orphans.among([(RUN, at(0))], at(260)), [RUN]);
        }
    }
}
