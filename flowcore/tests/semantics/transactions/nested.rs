//! Transactions in transactions, tasks in tasks, attempts, subflows: what is a
//! part of what.

use flowcore::prelude::*;
use flowcore::transactions::{CommitMode, TransactionOptions};
use flowcore::{ErrorKind, transaction};

use super::{Told, bad, inc};
use crate::support::run;

#[test]
fn nested_transactions_follow_the_outermost() {
    #[flow]
    async fn nested(told: &Told, fails: bool) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        let b = inc.with_options(told.both("b"));
        let c = inc.with_options(told.both("c"));
        transaction(async |_| {
            a(1).await?;
            transaction(async |inner| {
                inner.on_commit(told.hook("commit inner"));
                inner.on_rollback(told.hook("undo inner"));
                b(1).await?;
                c(1).await
            })
            .await?;
            assert!(told.lines().is_empty());
            if fails { bad(1).await } else { Ok(1) }
        })
        .await?;
        Ok(())
    }
    run(async {
        let told = Told::default();
        nested(&told, false).await.unwrap();
        assert_eq!(
            told.lines(),
            ["commit a", "commit b", "commit c", "commit inner"]
        );
        nested(&told, true).await.unwrap_err();
        assert_eq!(told.lines(), ["undo inner", "undo c", "undo b", "undo a"]);
    });
}

#[test]
fn a_nested_failure_undoes_what_is_around_it() {
    #[flow]
    async fn nested_failure(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        let b = inc.with_options(told.both("b"));
        let ended: Result<()> = transaction(async |outer| {
            a(1).await?;
            let inner: Result<()> = transaction(async |_| {
                b(1).await?;
                Err(Error::msg("inner"))
            })
            .await;
            assert!(inner.is_err() && outer.is_rolled_back());
            Ok(())
        })
        .await;
        assert_eq!(ended.unwrap_err().to_string(), "inner");
        assert_eq!(told.lines(), ["undo b", "undo a"]);
        Ok(())
    }
    run(async {
        nested_failure(&Told::default()).await.unwrap();
    });
}

#[test]
fn eager_ones_commit_at_once_and_stay() {
    #[flow]
    async fn eager(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        let b = inc.with_options(told.both("b"));
        let ended: Result<()> = transaction(async |_| {
            b(1).await?;
            let options = TransactionOptions::new().commit_mode(CommitMode::Eager);
            options
                .run(async |_| {
                    a(1).await?;
                    assert_eq!(told.lines(), ["commit a"]);
                    Ok::<_, Error>(())
                })
                .await?;
            Err(Error::msg("later"))
        })
        .await;
        assert!(ended.is_err());
        assert_eq!(told.lines(), ["undo b"]);
        Ok(())
    }
    run(async {
        eager(&Told::default()).await.unwrap();
    });
}

#[test]
fn off_commits_by_hand_only() {
    #[flow]
    async fn by_hand(told: &Told) -> Result<()> {
        let off = TransactionOptions::new().commit_mode(CommitMode::Off);
        let a = inc.with_options(told.both("a"));
        let run = off
            .clone()
            .run(async |_| Ok::<_, Error>(a(1).await?))
            .await?;
        assert_eq!((run, told.lines()), (2, vec!["undo a".to_owned()]));
        off.run(async |txn| {
            a(1).await?;
            txn.commit().await?;
            assert_eq!(told.lines(), ["commit a"]);
            Ok::<_, Error>(())
        })
        .await?;
        assert!(told.lines().is_empty());
        let ended: Result<()> = transaction(async |txn| {
            a(1).await?;
            assert!(txn.rollback().await?);
            assert!(!txn.rollback().await?);
            assert_eq!(txn.commit().await.unwrap_err().kind(), ErrorKind::Failed);
            Ok(())
        })
        .await;
        assert!(ended.unwrap_err().to_string().contains("was rolled back"));
        assert_eq!(told.lines(), ["undo a"]);
        Ok(())
    }
    run(async {
        by_hand(&Told::default()).await.unwrap();
    });
}

#[test]
fn tasks_in_tasks_count_with_the_outer_one() {
    #[task(local)]
    async fn outer(told: &Told, fails: bool) -> Result<i64, Error> {
        let a = inc.with_options(told.both("a"));
        let inner = middle.with_options(|o| o.on_commit(told.hook("commit middle")));
        a(1).await?;
        inner(told.clone()).await?;
        assert!(told.lines().is_empty());
        if fails { bad(1).await } else { Ok(1) }
    }

    #[task(local)]
    async fn middle(told: Told) -> Result<i64, Error> {
        inc.with_options(told.both("b")).submit(1).await
    }

    #[flow]
    async fn of_tasks(told: &Told, fails: bool) -> Result<i64> {
        outer(told, fails).await
    }
    run(async {
        let told = Told::default();
        of_tasks(&told, false).await.unwrap();
        assert_eq!(told.lines(), ["commit a", "commit b", "commit middle"]);
        of_tasks(&told, true).await.unwrap_err();
        assert_eq!(told.lines(), ["undo b", "undo a"]);
    });
}

#[test]
fn a_task_that_goes_on_counts() {
    #[task(local)]
    async fn goes_on(told: &Told) -> Result<i64, Error> {
        inc.with_options(told.both("inside"))(1).await?;
        assert!(bad(1).await.is_err());
        Ok(1)
    }

    #[flow]
    async fn around(told: &Told) -> Result<i64> {
        let task = goes_on.with_options(told.both("outer"));
        transaction(async |_| task(told).await).await
    }
    run(async {
        let told = Told::default();
        around(&told).await.unwrap();
        // As in Prefect: it has completed, and what it had undone stays so.
        assert_eq!(told.lines(), ["undo inside", "commit outer"]);
    });
}

#[test]
fn a_retry_undoes_the_attempt_and_not_the_transaction() {
    #[task(local)]
    async fn second_time(told: &Told) -> Result<i64, Error> {
        inc.with_options(told.both("inside"))(1).await?;
        match flowcore::run_info().unwrap().attempt {
            1 => bad(1).await,
            _ => Ok(2),
        }
    }

    #[flow]
    async fn retried(told: &Told) -> Result<()> {
        transaction(async |_| {
            inc.with_options(told.both("before"))(1).await?;
            let patient = second_time.with_options(|o| o.retries(1));
            patient(told).await
        })
        .await?;
        Ok(())
    }
    run(async {
        let told = Told::default();
        retried(&told).await.unwrap();
        assert_eq!(
            told.lines(),
            ["undo inside", "commit before", "commit inside"]
        );
    });
}

#[test]
fn subflows_are_parts() {
    #[flow]
    async fn child(told: &Told) -> Result<i64> {
        inc.with_options(told.both("child"))(1).await
    }

    #[flow]
    async fn parent(told: &Told) -> Result<()> {
        let ended: Result<()> = transaction(async |_| {
            child(told).await?;
            assert!(told.lines().is_empty());
            Err(Error::msg("no"))
        })
        .await;
        ended.unwrap_err();
        Ok(())
    }
    run(async {
        let told = Told::default();
        parent(&told).await.unwrap();
        assert_eq!(told.lines(), ["undo child"]);
        // Without any flow.
        let a = inc.with_options(told.both("a"));
        transaction(async |_| Ok::<_, Error>(a(1).await?))
            .await
            .unwrap();
        assert_eq!(told.lines(), ["commit a"]);
    });
}
