//! Async runs that wait let others run meanwhile, in a worker process.
//!
//! Invariant: beside the runs in slots no more are on their way than there are
//! seats. A run takes one when it waits for the first time, and keeps it to its
//! end: one that never waits takes none.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::Semaphore;

/// Where async runs wait beside the slots.
pub(super) struct Seats(Semaphore);

impl Seats {
    pub(super) fn new(count: usize) -> Self {
        Self(Semaphore::new(count.min(Semaphore::MAX_PERMITS)))
    }

    /// Polls a run to its end. Once it waits and there is a seat for it, `leave`
    /// lets something else have its place.
    pub(super) async fn seat<F: Future>(&self, run: F, leave: impl FnOnce()) -> F::Output {
        let mut run = pin!(run);
        let mut free = pin!(self.0.acquire());
        let seated = poll_fn(|context| {
            if let Poll::Ready(output) = run.as_mut().poll(context) {
                return Poll::Ready(Err(output));
            }
            match free.as_mut().poll(context) {
                Poll::Ready(Ok(seat)) => Poll::Ready(Ok(seat)),
                // Never closed: there is no seat yet.
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
            }
        });
        let seat = match seated.await {
            Ok(seat) => seat,
            Err(output) => return output,
        };
        leave();
        let output = run.await;
        drop(seat);
        output
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Waits so many times; every poll is followed by another.
    fn waiting(times: usize) -> impl Future<Output = usize> {
        let mut left = times;
        poll_fn(move |context| {
            if left == 0 {
                return Poll::Ready(times);
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[tokio::test]
    async fn only_who_waits_leaves_and_only_to_a_seat() {
        let left = Cell::new(0);
        let leave = || left.set(left.get() + 1);
        let seats = Seats::new(1);
        assert_eq!(seats.seat(waiting(0), leave).await, 0);
        assert_eq!(left.get(), 0);
        assert_eq!(seats.seat(waiting(3), leave).await, 3);
        assert_eq!(left.get(), 1, "once");
        let taken = seats.0.acquire().await;
        assert_eq!(seats.seat(waiting(3), leave).await, 3);
        assert_eq!(left.get(), 1, "no seat is free");
        drop(taken);
        assert_eq!(seats.seat(waiting(1), leave).await, 1);
        assert_eq!(left.get(), 2);
    }
}
