//! Transactions: what counts together, and in which order it is undone.

mod nested;
mod records;

use std::sync::Arc;

use flowcore::prelude::*;
use flowcore::transactions::{Transaction, TransactionState};
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
