//! Records and keys of transactions.

use flowcore::prelude::*;
use flowcore::results::ResultStore;
use flowcore::transactions::{TransactionOptions, TransactionState};
use flowcore::{ErrorKind, StateName, transaction};
use parking_lot::Mutex;

use super::Told;
use crate::support::run;

#[task(cache = INPUTS)]
fn kept(x: i64) -> i64 {
    x + 1
}

#[test]
fn records_are_written_at_the_commit() {
    #[flow]
    async fn records(url: String) -> Result<()> {
        let task = kept.with_options(|o| o.result_store(url));
        let ended: Result<()> = transaction(async |_| {
            task(1).await?;
            Err(Error::msg("no"))
        })
        .await;
        ended.unwrap_err();
        // What was undone is computed again.
        assert_eq!(task(1).state().await.to_string(), "Completed()");
        transaction(async |_| {
            assert_eq!(task(2).state().await.to_string(), "Completed()");
            // Not yet.
            assert_eq!(task(2).state().await.to_string(), "Completed()");
            let rows = task.map([3, 1]);
            rows.wait(None).await;
            assert_eq!(rows.states(), [StateName::Completed, StateName::Cached]);
            Ok::<_, Error>(())
        })
        .await?;
        let rows = task.map([1, 2, 3]);
        rows.wait(None).await;
        assert_eq!(rows.states(), [StateName::Cached; 3]);
        Ok(())
    }
    run(async {
        records(ResultStore::memory().url().to_owned())
            .await
            .unwrap();
    });
}

#[test]
fn keys_make_transactions_the_same() {
    let store = ResultStore::memory();
    run(async move {
        let options = TransactionOptions::new().key("k").store(&store);
        let first = options.clone();
        first
            .run(async |txn| {
                assert_eq!(txn.key(), Some("k"));
                assert!(!txn.is_committed());
                txn.stage(&vec![1, 2])?;
                assert_eq!(txn.state(), TransactionState::Staged);
                assert_eq!(txn.read::<Vec<i64>>().await?, None);
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        assert_eq!(store.read("k").await.unwrap(), Some(vec![1, 2]));
        let second = options.clone();
        second
            .run(async |txn| {
                assert!(txn.is_committed());
                assert_eq!(txn.read().await?, Some(vec![1, 2]));
                txn.stage(&vec![3])
            })
            .await
            .unwrap();
        assert_eq!(store.read("k").await.unwrap(), Some(vec![1, 2]));
        let anew = options.clone().overwrite(true);
        anew.run(async |txn| txn.stage(&vec![3])).await.unwrap();
        assert_eq!(store.read("k").await.unwrap(), Some(vec![3]));
        let unwritten = options.overwrite(true).write_on_commit(false);
        unwritten
            .run(async |txn| txn.stage(&vec![4]))
            .await
            .unwrap();
        assert_eq!(store.read("k").await.unwrap(), Some(vec![3]));
    });
}

#[test]
fn one_at_a_time_has_a_key() {
    use flowcore::results::Isolation;
    let store = ResultStore::memory();
    run(async move {
        let options = TransactionOptions::new().key("k").store(&store);
        let options = options.isolation(Isolation::Serializable);
        let computed = Mutex::new(0);
        let one = || {
            options.clone().run(async |txn| {
                if !txn.is_committed() {
                    tokio::task::yield_now().await;
                    *computed.lock() += 1;
                    txn.stage(&1)?;
                }
                Ok::<_, Error>(())
            })
        };
        for ended in futures_util::future::join_all([one(), one(), one()]).await {
            ended.unwrap();
        }
        assert_eq!(*computed.lock(), 1);
    });
}

#[test]
fn a_store_that_cannot_be_written_undoes() {
    let directory = tempfile::tempdir().unwrap();
    let store = ResultStore::open(directory.path().to_str().unwrap()).unwrap();
    // A directory stands where the record would.
    std::fs::create_dir_all(directory.path().join("k/inside")).unwrap();
    let told = Told::default();
    run(async move {
        let options = TransactionOptions::new()
            .key("k")
            .store(&store)
            .overwrite(true);
        let ended = options
            .run(async |txn| {
                txn.on_rollback(told.hook("undo"));
                txn.stage(&1)
            })
            .await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Store);
        assert_eq!(told.lines(), ["undo"]);
    });
}
