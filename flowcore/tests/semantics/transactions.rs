//! Transactions: what counts together, and in which order it is undone.

use std::sync::Arc;

use flowcore::prelude::*;
use flowcore::results::ResultStore;
use flowcore::transactions::{CommitMode, Transaction, TransactionOptions, TransactionState};
use flowcore::{ErrorKind, StateName, TaskOptions, transaction};
use parking_lot::Mutex;

use crate::support::{Bad, Gate, run};

/// What hooks were called, in order.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().push(text.into());
    }

    fn hook(&self, text: &str) -> impl Fn(&Transaction) + use<> {
        let (told, text) = (self.clone(), text.to_owned());
        move |_| told.note(text.clone())
    }

    /// Both hooks, told as `commit x` and `undo x`.
    fn both(&self, name: &str) -> impl FnOnce(TaskOptions) -> TaskOptions + use<> {
        let commit = self.hook(&format!("commit {name}"));
        let undo = self.hook(&format!("undo {name}"));
        move |options| options.on_commit(commit).on_rollback(undo)
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
async fn inc_async(x: i64) -> i64 {
    x + 1
}

#[task]
fn bad(x: i64) -> Result<i64, Bad> {
    Err(Bad::new(format!("bad {x}")))
}

#[test]
fn hooks_of_a_run_are_called_when_it_counts() {
    #[flow]
    async fn alone(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        assert_eq!(a(1).await?, 2);
        assert_eq!(told.lines(), ["commit a"]);
        let row = a.map([1, 2]);
        row.wait(None).await;
        assert_eq!(told.lines(), ["commit a", "commit a"]);
        let b = inc_async.with_options(told.both("b"));
        b(1).await?;
        assert_eq!(told.lines(), ["commit b"]);
        // A run that fails has nothing to undo.
        let failing = bad.with_options(told.both("bad"));
        assert!(failing(1).state().await.is_failed());
        assert!(told.lines().is_empty());
        Ok(())
    }
    run(async {
        alone(&Told::default()).await.unwrap();
    });
}

#[test]
fn lazy_transactions_commit_at_their_end() {
    #[flow]
    async fn lazy(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        let b = inc_async.with_options(told.both("b"));
        let value = transaction(async |txn| {
            txn.on_commit(told.hook("commit all"));
            txn.on_rollback(told.hook("undo all"));
            let first = a(1).await?;
            b(first).await?;
            let rows = a.map([1, 2]);
            rows.wait(None).await;
            assert!(told.lines().is_empty());
            assert_eq!(txn.state(), TransactionState::Active);
            // Nobody waits for this one.
            drop(a.submit(first));
            Ok::<_, Error>(first)
        })
        .await?;
        assert_eq!(value, 2);
        let expected = [
            "commit a",
            "commit b",
            "commit a",
            "commit a",
            "commit a",
            "commit all",
        ];
        assert_eq!(told.lines(), expected);
        Ok(())
    }
    run(async {
        lazy(&Told::default()).await.unwrap();
    });
}

#[test]
fn an_error_undoes_in_reverse() {
    #[flow]
    async fn undone(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        let a = a.with_options(|o| o.on_rollback(told.hook("undo a too")));
        let b = inc_async.with_options(told.both("b"));
        let mut runs = Vec::new();
        let mut rows = None;
        let ended: Result<()> = transaction(async |txn| {
            txn.on_rollback(told.hook("undo all"));
            runs.push(a.submit(1));
            runs[0].wait(None).await;
            b(1).await?;
            let mapped = b.map([1, 2]);
            mapped.wait(None).await;
            rows = Some(mapped);
            Err(Error::msg("no"))
        })
        .await;
        assert_eq!(ended.unwrap_err().to_string(), "no");
        let expected = [
            "undo all",
            "undo b",
            "undo b",
            "undo b",
            "undo a too",
            "undo a",
        ];
        assert_eq!(told.lines(), expected);
        let state = runs[0].state();
        let text = r#"RolledBack("Task rolled back as part of transaction", type=COMPLETED)"#;
        assert_eq!(state.to_string(), text);
        assert!(state.is_completed());
        assert_eq!(*state.result()?, 2);
        assert_eq!(rows.unwrap().states(), [StateName::RolledBack; 2]);
        Ok(())
    }
    run(async {
        let report = undone(&Told::default()).report().await;
        let ends: Vec<_> = report
            .runs()
            .map(|run| run.states().last().unwrap().to_string())
            .collect();
        assert_eq!(ends.len(), 4);
        assert!(
            ends.iter().all(|end| end.starts_with("RolledBack(")),
            "{ends:?}"
        );
        let summary = report.summary().to_string();
        assert!(
            summary.contains(" 3 RolledBack ") && !summary.contains("Completed"),
            "{summary}"
        );
        report.into_result().unwrap();
    });
}

#[test]
fn a_run_that_fails_undoes_at_once_and_for_good() {
    #[flow]
    async fn caught(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        let b = inc.with_options(told.both("b"));
        let mut late = None;
        let ended = transaction(async |txn| {
            a(1).await?;
            assert!(bad(1).await.is_err());
            assert_eq!(told.lines(), ["undo a"]);
            assert!(txn.is_rolled_back());
            // What comes later follows.
            let run = b.submit(1);
            run.wait(None).await;
            late = Some(run);
            Ok::<_, Error>(())
        })
        .await;
        let error = ended.unwrap_err();
        assert_eq!(error.to_string(), "bad 1");
        assert!(error.downcast_ref::<Bad>().is_some());
        assert_eq!(told.lines(), ["undo b"]);
        assert_eq!(late.unwrap().state().name(), StateName::RolledBack);
        Ok(())
    }
    run(async {
        caught(&Told::default()).await.unwrap();
    });
}

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
fn values_are_shared_inwards() {
    fn told_value(txn: &Transaction) -> Result<()> {
        let told: Told = txn.get("told")?;
        told.note(format!("undo {}", txn.get::<i64>("x")?));
        Ok(())
    }

    #[task(on_rollback = told_value)]
    fn sets(x: i64) -> i64 {
        let txn = Transaction::current().unwrap();
        assert_eq!(txn.get::<i64>("x").unwrap(), 1);
        txn.set("x", x);
        x
    }

    #[flow]
    async fn values(told: &Told) -> Result<()> {
        assert!(Transaction::current().is_none());
        let ended: Result<()> = transaction(async |txn| {
            txn.set("told", told.clone());
            txn.set("x", 1_i64);
            sets(7).await?;
            let rows = sets.map([8]);
            rows.wait(None).await;
            assert_eq!(txn.get::<i64>("x")?, 1);
            let wrong = txn.get::<String>("x").unwrap_err();
            assert_eq!(wrong.kind(), ErrorKind::Invalid);
            assert!(wrong.to_string().contains("`x` is a `i64`"), "{wrong}");
            let none = txn.get::<i64>("y").unwrap_err();
            assert!(none.to_string().contains("no value `y`"), "{none}");
            Err(Error::msg("no"))
        })
        .await;
        ended.unwrap_err();
        assert_eq!(told.lines(), ["undo 8", "undo 7"]);
        Ok(())
    }
    run(async {
        values(&Told::default()).await.unwrap();
    });
}

#[test]
fn hooks_that_fail_undo_and_end_nothing_else() {
    #[flow]
    async fn failing(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        let panics = inc.with_options(|o| {
            let o = o.on_commit(|_| -> () { panic!("no commit") });
            o.on_rollback(told.hook("undo panics"))
        });
        // The part that cannot commit is undone; the others count.
        let run = transaction(async |_| {
            let run = panics.submit(1);
            run.wait(None).await;
            a(1).await?;
            Ok::<_, Error>(run)
        })
        .await?;
        assert_eq!(told.lines(), ["undo panics", "commit a"]);
        assert_eq!(run.state().name(), StateName::RolledBack);

        let errs = inc.with_options(|o| o.on_rollback(|_| Err::<(), _>("cannot")));
        let errs = errs.with_options(|o| o.on_rollback(|_| -> () { panic!("nor this") }));
        let ended: Result<()> = transaction(async |_| {
            a(1).await?;
            errs(1).await?;
            a(1).await?;
            Err(Error::msg("no"))
        })
        .await;
        ended.unwrap_err();
        assert_eq!(told.lines(), ["undo a", "undo a"]);

        let ended = transaction(async |txn| {
            txn.on_commit(|_| Err::<(), _>("full"));
            a(1).await
        })
        .await;
        let error = ended.unwrap_err().to_string();
        assert!(
            error.contains("commit hook") && error.ends_with("failed: full"),
            "{error}"
        );
        // Parts had committed before it.
        assert_eq!(told.lines(), ["commit a"]);
        Ok(())
    }
    run(async {
        failing(&Told::default()).await.unwrap();
    });
}

#[test]
fn hooks_may_call_tasks() {
    #[flow]
    async fn compensated(told: &Told) -> Result<()> {
        let undo = inc_async.with_options(told.both("compensation"));
        let a = inc.with_options(|o| {
            let (undo, told) = (undo.with_options(|o| o), told.clone());
            o.on_rollback(move |_| told.note(format!("undo {}", undo(1).block().unwrap())))
        });
        let ended: Result<()> = transaction(async |_| {
            a(1).await?;
            bad(1).await?;
            Ok(())
        })
        .await;
        ended.unwrap_err();
        Ok(())
    }
    run(async {
        let told = Told::default();
        compensated(&told).await.unwrap();
        let mut lines = told.lines();
        lines.sort();
        assert_eq!(lines, ["commit compensation", "undo 2"]);
    });
}

#[test]
fn a_hook_opens_no_transaction() {
    #[flow]
    async fn in_a_hook(told: &Told) -> Result<()> {
        let a = inc.with_options(|o| {
            let told = told.clone();
            o.on_commit(move |_| {
                let opened = transaction(async |_| Ok::<_, Error>(()));
                let opened = futures_util::FutureExt::now_or_never(opened).unwrap();
                told.note(opened.unwrap_err().to_string());
            })
        });
        a(1).await?;
        assert!(told.lines()[0].starts_with("a hook cannot open a transaction"));
        Ok(())
    }
    run(async {
        in_a_hook(&Told::default()).await.unwrap();
    });
}

#[test]
fn a_transaction_that_is_left_is_undone() {
    #[flow]
    async fn left(told: &Told, gate: &Gate) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        transaction(async |_| {
            a(1).await?;
            gate.passed().await;
            Ok::<_, Error>(())
        })
        .await
    }

    #[flow]
    async fn panics(told: &Told) -> Result<()> {
        let a = inc.with_options(told.both("a"));
        transaction(async |_| {
            a(1).await?;
            if told.0.lock().is_empty() {
                panic!("no");
            }
            Ok::<_, Error>(())
        })
        .await
    }
    run(async {
        let told = Told::default();
        let brief = left.with_options(|o| o.timeout(std::time::Duration::from_millis(50)));
        let state = brief(&told, &Gate::default()).state().await;
        assert_eq!(state.name(), StateName::TimedOut);
        assert_eq!(told.lines(), ["undo a"]);
        let state = panics(&told).state().await;
        assert!(state.message().unwrap().ends_with(": no"), "{state}");
        assert_eq!(told.lines(), ["undo a"]);
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
