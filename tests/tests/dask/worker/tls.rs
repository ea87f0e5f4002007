//! A worker that talks by TLS.

use flow_tests::dask::{Calculator, PythonWorker, Scheduler, Tls};
use flowdask::wire::Security;
use flowdask::worker::WorkerError;

use super::{ask, builder};

#[tokio::test]
async fn a_worker_and_its_peers_talk_by_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let tls = Tls::make(directory.path());
    let scheduler = Scheduler::with_tls(tls.clone()).expect("a scheduler");
    let start = |name: &str, tls: &Tls| {
        let security = Security::tls_files(&tls.authority, &tls.certificate, &tls.key);
        builder(scheduler.address(), Calculator::new(), name)
            .security(security.expect("certificates"))
            .start()
    };
    let alice = start("alice", &tls).await.expect("a worker");
    let _bob = start("bob", &tls).await.expect("a worker");
    assert!(alice.address().starts_with("tls://"), "{}", alice.address());
    let sums: Vec<i64> = ask(&scheduler, "between", &["alice", "bob"]);
    assert_eq!(sums, [12, 12]);
    let _python = PythonWorker::start(&scheduler, "carol").expect("a worker");
    let sum: i64 = ask(&scheduler, "with_python", &["3"]);
    assert_eq!(sum, 105);

    let elsewhere = tempfile::tempdir().expect("a directory");
    let error = start("eve", &Tls::make(elsewhere.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, WorkerError::Register { .. }), "{error:?}");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert!(cause.to_string().contains("cluster's authority"), "{cause}");
    let error = builder(scheduler.address(), Calculator::new(), "eve")
        .start()
        .await
        .unwrap_err();
    let told = format!("{error:?}");
    assert!(told.contains("NoCertificate"), "{told}");
}
