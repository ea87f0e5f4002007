//! What the tasks of an outbox share, and those who put something in.
//!
//! Messages wait in the inbox until somebody looks at the ledger, which takes
//! in all of them first. Who puts in more than are taken in takes them in.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::books::Books;
use super::ledger::Ledger;
use crate::prefect::client::{ApiClient, ApiError};
use crate::prefect::message::Message;

/// No more messages wait in the inbox, which nobody weighs; an engine may make
/// them faster than a disk takes them.
const MANY: usize = 1_000;
/// So long messages gather in it. To wake somebody for each costs more than all
/// else about it.
const GATHER: Duration = Duration::from_millis(5);
/// As long as taking them in may take.
const LONGEST: Duration = Duration::from_millis(50);

pub(super) struct Shared {
    pub(super) client: ApiClient,
    /// Messages that the ledger has not taken yet: whoever puts one in does
    /// not wait while the ledger makes bodies, unless there are [many](MANY).
    inbox: Mutex<Vec<Message>>,
    pub(super) books: Mutex<Books>,
    /// There is something new for the task that makes requests.
    pub(super) for_calls: Notify,
    pub(super) for_events: Notify,
    pub(super) for_file: Notify,
    /// Something was told.
    pub(super) progress: Notify,
    pub(super) is_started: OnceLock<()>,
}

impl Shared {
    pub(super) fn new(client: ApiClient, books: Books) -> Self {
        Self {
            client,
            inbox: Mutex::default(),
            books: Mutex::new(books),
            for_calls: Notify::new(),
            for_events: Notify::new(),
            for_file: Notify::new(),
            progress: Notify::new(),
            is_started: OnceLock::new(),
        }
    }

    /// Whether the server does not take us for somebody who may tell it
    /// anything; then nothing more is told.
    pub(super) fn is_shut_by(&self, error: &ApiError) -> bool {
        let is_shut = error.is_refusal();
        if is_shut {
            self.shut(error.clone());
        }
        is_shut
    }

    /// Nothing more is told, and those who wait for it learn why.
    pub(super) fn shut(&self, error: ApiError) {
        self.with(|ledger, _| ledger.shut(error));
        self.progress.notify_waiters();
    }

    /// A server that cannot be reached may have been killed.
    pub(super) fn was_away(&self, error: &ApiError) {
        if error.is_unreached() {
            self.with(|ledger, _| ledger.may_have_died());
        }
    }

    /// Puts something in; how many wait there.
    pub(super) fn push(&self, message: Message) -> usize {
        let waiting = {
            let mut inbox = self.inbox.lock();
            inbox.push(message);
            inbox.len()
        };
        if waiting >= MANY {
            // Whoever has the books may want something that this thread has.
            if let Some(books) = self.books.try_lock_for(LONGEST) {
                self.look(books, |_, _| ());
            }
        }
        waiting
    }

    /// Looks at the ledger, which knows all messages so far.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Ledger, Timestamp) -> T) -> T {
        self.look(self.books.lock(), look)
    }

    fn look<T>(
        &self,
        mut books: MutexGuard<'_, Books>,
        look: impl FnOnce(&mut Ledger, Timestamp) -> T,
    ) -> T {
        let now = Timestamp::now();
        let messages = std::mem::take(&mut *self.inbox.lock());
        let is_event = |message: &Message| matches!(message, Message::TaskRun(_));
        let has_events = messages.iter().any(is_event);
        let has_requests = !messages.iter().all(is_event);
        let was_behind = books.take_in(messages, now);
        let answer = look(&mut books.ledger, now);
        books.write_down(was_behind);
        if was_behind || has_requests {
            self.for_calls.notify_one();
        }
        if was_behind || has_events {
            self.for_events.notify_one();
        }
        answer
    }
}

/// Takes in what comes while nobody else does: it would be lost if the process
/// died.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        shared.for_file.notified().await;
        tokio::time::sleep(GATHER).await;
        shared.with(|_, _| ());
    }
}

/// Waits for news, but not beyond a time.
pub(super) async fn news(notify: &Notify, until: Option<Timestamp>) {
    let Some(until) = until else {
        return notify.notified().await;
    };
    let wait = until.duration_since(Timestamp::now());
    let wait = Duration::try_from(wait).unwrap_or_default();
    // Not at all if the time has come, but once around all the same.
    let wait = wait.max(Duration::from_millis(1));
    let _ = tokio::time::timeout(wait, notify.notified()).await;
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::prefect::outbox::test_messages;

    #[test]
    fn who_puts_in_more_than_are_taken_in_takes_them_in() {
        let home = tempfile::tempdir().unwrap();
        let outbox = test_messages::untold(home.path());
        let flow = Uuid::now_v7();
        for number in 0..5 * MANY {
            let text = format!("line {number}");
            outbox.put(test_messages::line(&text, Timestamp::now(), flow, None));
            assert!(outbox.0.inbox.lock().len() < MANY);
        }
        let path = outbox.kept().expect("they are in the file");
        let content = std::fs::read_to_string(path).unwrap();
        assert_eq!(content.matches("\"line ").count(), 5 * MANY);
    }

    #[test]
    fn who_has_the_books_may_put_something_in() {
        let home = tempfile::tempdir().unwrap();
        let outbox = test_messages::untold(home.path());
        let put = |number| {
            let text = format!("line {number}");
            let line = test_messages::line(&text, Timestamp::now(), Uuid::now_v7(), None);
            outbox.put(line);
        };
        (1..MANY).for_each(put);
        outbox.0.with(|_, _| (0..MANY).for_each(put));
        (0..2).for_each(put);
        assert!(outbox.0.inbox.lock().len() < MANY);
    }
}
