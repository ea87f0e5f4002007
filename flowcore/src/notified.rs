//! Waiting for something that a [`Notify`] tells of.

use tokio::sync::Notify;

/// Ends when it is so; looks again whenever `changed` is notified.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
pub(crate) async fn until(changed: &Notify, is_so: impl Fn() -> bool) {
    loop {
        let notified = changed.notified();
        tokio::pin!(notified);
        // Registered before the look, so that no change is missed.
        notified.as_mut().enable();
        if is_so() {
            return;
        }
        notified.await;
    }
}
