//! Requests as the flow's process keeps them: which are new, which were
//! answered, which nobody needs any more.
//!
//! Sans-I/O: messages may come twice, late or after their end; a request is
//! new once. `W` is what works on a request and is stopped when it is
//! dismissed.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::messages::{Answer, RequestId};
use crate::runner::RunReference;

#[derive(Debug)]
pub(crate) struct Calls<W, R> {
    executions: BTreeMap<(RunReference, u64), HashMap<u64, Call<W, R>>>,
    /// Executions that ask for nothing any more.
    ended: HashSet<u64>,
}

impl<W, R> Default for Calls<W, R> {
    fn default() -> Self {
        Self {
            executions: BTreeMap::new(),
            ended: HashSet::new(),
        }
    }
}

#[derive(Debug)]
enum Call<W, R> {
    Open { work: W, reply: R },
    Answered { work: W, answer: Answer },
    Dismissed,
}

/// What a request that came in is.
#[derive(Debug)]
pub(crate) enum Seen {
    New,
    /// It is worked on; the answer goes where it came from last.
    Open,
    /// It is answered again.
    Answered(Answer),
    /// Nobody needs it any more.
    Gone,
}

impl<W, R> Calls<W, R> {
    /// A request has come in. `start` begins the work on a new one.
    pub(super) fn request(&mut self, id: RequestId, reply: R, start: impl FnOnce() -> W) -> Seen {
        if self.ended.contains(&id.execution) {
            return Seen::Gone;
        }
        let execution = self.executions.entry((id.run, id.execution)).or_default();
        match execution.get_mut(&id.number) {
            None => {
                let work = start();
                execution.insert(id.number, Call::Open { work, reply });
                Seen::New
            }
            Some(Call::Open { reply: place, .. }) => {
                *place = reply;
                Seen::Open
            }
            Some(Call::Answered { answer, .. }) => Seen::Answered(answer.clone()),
            Some(Call::Dismissed) => Seen::Gone,
        }
    }

    /// The work on a request is done; gives the way to who asked, if anybody
    /// still waits.
    pub(super) fn answer(&mut self, id: RequestId, answer: &Answer) -> Option<R> {
        let execution = self.executions.get_mut(&(id.run, id.execution))?;
        let call = execution.get_mut(&id.number)?;
        match std::mem::replace(call, Call::Dismissed) {
            Call::Open { work, reply } => {
                let answer = answer.clone();
                *call = Call::Answered { work, answer };
                Some(reply)
            }
            other => {
                *call = other;
                None
            }
        }
    }

    /// Nobody needs the request any more; gives what works on it.
    pub(super) fn dismiss(&mut self, id: RequestId) -> Option<W> {
        if self.ended.contains(&id.execution) {
            return None;
        }
        let execution = self.executions.entry((id.run, id.execution)).or_default();
        match execution.insert(id.number, Call::Dismissed) {
            Some(Call::Open { work, .. } | Call::Answered { work, .. }) => Some(work),
            Some(Call::Dismissed) | None => None,
        }
    }

    /// An execution asks for nothing any more.
    pub(super) fn end(&mut self, run: RunReference, execution: u64) -> Vec<W> {
        self.ended.insert(execution);
        let calls = self.executions.remove(&(run, execution));
        calls.into_iter().flat_map(works).collect()
    }

    /// All executions of a run are lost.
    pub(super) fn lose(&mut self, run: RunReference) -> Vec<W> {
        let lost: Vec<_> = self
            .executions
            .range((run, 0)..=(run, u64::MAX))
            .map(|((_, execution), _)| *execution)
            .collect();
        lost.into_iter()
            .flat_map(|execution| self.end(run, execution))
            .collect()
    }

    /// Nothing is served any more.
    pub(super) fn clear(&mut self) -> Vec<W> {
        let executions = std::mem::take(&mut self.executions);
        executions.into_values().flat_map(works).collect()
    }
}

fn works<W, R>(calls: HashMap<u64, Call<W, R>>) -> impl Iterator<Item = W> {
    calls.into_values().filter_map(|call| match call {
        Call::Open { work, .. } | Call::Answered { work, .. } => Some(work),
        Call::Dismissed => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunReference = RunReference::Run(1);

    fn id(execution: u64, number: u64) -> RequestId {
        RequestId {
            run: RUN,
            execution,
            number,
        }
    }

    #[test]
    fn a_request_is_new_once_and_answered_where_it_came_from_last() {
        let mut calls = Calls::default();
        assert!(matches!(calls.request(id(1, 0), "first", || 7), Seen::New));
        let again = calls.request(id(1, 0), "second", || unreachable!());
        assert!(matches!(again, Seen::Open));
        let answer = Answer::Slots(Ok(()));
        assert_eq!(calls.answer(id(1, 0), &answer), Some("second"));
        assert_eq!(calls.answer(id(1, 0), &answer), None);
        let again = calls.request(id(1, 0), "third", || unreachable!());
        assert!(matches!(again, Seen::Answered(Answer::Slots(Ok(())))));
        assert_eq!(calls.dismiss(id(1, 0)), Some(7));
        assert_eq!(calls.dismiss(id(1, 0)), None);
        let late = calls.request(id(1, 0), "fourth", || unreachable!());
        assert!(matches!(late, Seen::Gone));
    }

    #[test]
    fn what_is_dismissed_before_it_comes_is_never_served() {
        let mut calls = Calls::<(), _>::default();
        assert_eq!(calls.dismiss(id(1, 3)), None);
        let late = calls.request(id(1, 3), (), || unreachable!());
        assert!(matches!(late, Seen::Gone));
    }

    #[test]
    fn an_execution_takes_its_requests_along_and_no_others() {
        let mut calls = Calls::default();
        for (execution, number) in [(1, 0), (1, 1), (2, 0)] {
            calls.request(id(execution, number), (), || (execution, number));
        }
        let mut ended = calls.end(RUN, 1);
        ended.sort_unstable();
        assert_eq!(ended, [(1, 0), (1, 1)]);
        let late = calls.request(id(1, 2), (), || unreachable!());
        assert!(matches!(late, Seen::Gone));
        assert_eq!(calls.answer(id(1, 1), &Answer::Slots(Ok(()))), None);
        assert_eq!(calls.lose(RunReference::Run(2)), []);
        assert_eq!(calls.lose(RUN), [(2, 0)]);
    }
}
