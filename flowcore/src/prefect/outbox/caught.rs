//! The tasks of an outbox: one that panics does not end without a word.
//!
//! What it was about to do is not known then, so nothing more is told, and the
//! file stays for a replay.

use std::sync::Arc;

use super::Shared;
use crate::prefect::client::ApiError;
use crate::runner::Caught;

pub(super) async fn or_shut(shared: Arc<Shared>, task: impl Future<Output = ()>) {
    let Err(report) = Caught(std::pin::pin!(task)).await else {
        return;
    };
    shared.shut(ApiError::Panicked {
        cause: report.to_string(),
    });
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::prefect::outbox::test_messages;

    #[test]
    fn a_task_that_panics_ends_the_reporting_and_keeps_the_file() {
        let home = tempfile::tempdir().unwrap();
        let outbox = test_messages::untold(home.path());
        let flow = Uuid::now_v7();
        let begin = test_messages::flow_run(flow, "flow", "run", Timestamp::now());
        outbox.put(begin);
        let finished = crate::runtime::process_service().block_on(async {
            or_shut(Arc::clone(&outbox.0), ready(())).await;
            let fails = or_shut(Arc::clone(&outbox.0), async {
                panic!("a mistake");
            });
            tokio::join!(outbox.told(flow, |_| ()), fails).0
        });
        let why = finished.refused.expect("it is not told").to_string();
        assert!(why.contains("a mistake"), "{why}");
        let path = outbox.kept().expect("the file stays");
        assert!(path.exists());
    }
}
