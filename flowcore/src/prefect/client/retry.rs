//! When a request is sent once more.
//!
//! Decides by counting only: who asks brings what happened and a random
//! number. Source: `api.md` 2.4.

use std::time::Duration;

/// How an attempt ended that brought no good answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ended {
    /// The server was not reached: it did not get the request.
    NotSent,
    /// The same, and it never was: its address may be wrong.
    NeverSent,
    /// The request was sent, and no answer came.
    NoAnswer,
    /// The server answered with a status.
    Status {
        status: u16,
        /// What `Retry-After` says.
        after: Option<Duration>,
        /// Prefect Cloud says so in a header; such answers do not count.
        is_maintenance: bool,
    },
}

/// Whether a request that may have been handled may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// Twice would be twice.
    UnlessHandled,
}

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Retry<'a> {
    pub(super) limit: u32,
    pub(super) jitter: f64,
    pub(super) also: &'a [u16],
    pub(super) repeat: Repeat,
    pub(super) made: u32,
}

/// Between two attempts that only met another writer of a small database.
const BUSY: Duration = Duration::from_millis(20);
const LONGEST_BUSY: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(60);
/// Another writer is gone soon, so there may be more such attempts.
const BUSY_ATTEMPTS: u32 = 20;

impl Retry<'_> {
    /// How long to wait before the next attempt; `None` if there is none.
    /// `random` is from 0 to 1.
    pub(super) fn next(&mut self, ended: Ended, random: f64) -> Option<Duration> {
        let (is_retried, after, counts) = match ended {
            Ended::NotSent => (true, None, true),
            Ended::NeverSent => (false, None, true),
            Ended::NoAnswer => (self.repeat == Repeat::Safe, None, true),
            Ended::Status {
                status,
                after,
                is_maintenance,
            } => {
                let is_retried = match status {
                    408 | 429 | 502 | 503 => true,
                    _ => self.also.contains(&status),
                };
                (is_retried, after, !is_maintenance)
            }
        };
        if !is_retried {
            return None;
        }
        let is_busy = matches!(
            ended,
            Ended::Status {
                status: 503,
                after: None,
                ..
            }
        );
        let limit = if is_busy && self.limit > 0 {
            self.limit.max(BUSY_ATTEMPTS)
        } else {
            self.limit
        };
        if counts {
            if self.made >= limit {
                return None;
            }
            self.made += 1;
        }
        if let Some(after) = after {
            // Not before that time; a little later, so that not all come at once.
            return Some(spread(after, random * self.jitter).min(LONGEST.max(after)));
        }
        if is_busy {
            let longest = (BUSY * self.made.max(1)).min(LONGEST_BUSY);
            return Some(BUSY.max(longest.mul_f64(random)));
        }
        let doubled = Duration::from_secs(1 << self.made.saturating_sub(1).min(6));
        // Half on either side.
        Some(spread(doubled, (random * 2.0 - 1.0) * self.jitter).min(LONGEST))
    }
}

fn spread(wait: Duration, share: f64) -> Duration {
    wait.mul_f64((1.0 + share).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(repeat: Repeat) -> Retry<'static> {
        Retry {
            limit: 3,
            jitter: 0.2,
            also: &[500],
            repeat,
            made: 0,
        }
    }

    fn status(status: u16, after: Option<u64>) -> Ended {
        Ended::Status {
            status,
            after: after.map(Duration::from_secs),
            is_maintenance: false,
        }
    }

    #[test]
    fn waits_double_up_to_the_limit() {
        let mut retry = retry(Repeat::Safe);
        let waits: Vec<_> = std::iter::from_fn(|| retry.next(Ended::NotSent, 0.5)).collect();
        assert_eq!(
            waits.iter().map(Duration::as_secs).collect::<Vec<_>>(),
            [1, 2, 4]
        );
    }

    #[test]
    fn a_time_that_the_server_names_is_kept() {
        let mut retry = retry(Repeat::Safe);
        assert_eq!(
            retry.next(status(429, Some(7)), 0.0),
            Some(Duration::from_secs(7))
        );
        let later = retry.next(status(429, Some(10)), 1.0).unwrap();
        assert_eq!(later, Duration::from_secs(12));
    }

    #[test]
    fn a_busy_database_is_asked_again_soon_and_more_often() {
        let mut retry = retry(Repeat::UnlessHandled);
        let waits: Vec<_> = std::iter::from_fn(|| retry.next(status(503, None), 1.0)).collect();
        assert_eq!(waits.len(), 20);
        assert!(
            waits
                .iter()
                .all(|wait| (BUSY..=LONGEST_BUSY).contains(wait)),
            "{waits:?}"
        );
    }

    #[test]
    fn what_may_have_been_handled_is_repeated_only_where_that_is_safe() {
        assert!(retry(Repeat::Safe).next(Ended::NoAnswer, 0.5).is_some());
        assert_eq!(
            retry(Repeat::UnlessHandled).next(Ended::NoAnswer, 0.5),
            None
        );
        assert!(
            retry(Repeat::UnlessHandled)
                .next(Ended::NotSent, 0.5)
                .is_some()
        );
    }

    #[test]
    fn other_answers_are_final_unless_a_setting_names_them() {
        let of = |code| retry(Repeat::Safe).next(status(code, None), 0.5);
        assert_eq!([400, 401, 404, 409, 422, 423, 501].map(of), [None; 7]);
        assert!(
            [408, 429, 500, 502, 503]
                .iter()
                .all(|code| of(*code).is_some())
        );
    }

    #[test]
    fn maintenance_does_not_count() {
        let mut retry = retry(Repeat::Safe);
        let ended = Ended::Status {
            status: 503,
            after: Some(Duration::from_secs(1)),
            is_maintenance: true,
        };
        assert!((0..100).all(|_| retry.next(ended, 0.0).is_some()));
    }

    #[test]
    fn no_retries_are_none() {
        let mut none = Retry {
            limit: 0,
            ..retry(Repeat::Safe)
        };
        assert_eq!(none.next(status(503, None), 0.5), None);
        assert_eq!(none.next(Ended::NotSent, 0.5), None);
    }

    #[test]
    fn nobody_waits_for_a_server_that_never_was_there() {
        assert_eq!(retry(Repeat::Safe).next(Ended::NeverSent, 0.5), None);
    }
}
