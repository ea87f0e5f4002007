//! The page of what ran when and where.

use std::path::Path;
use std::process::Command;

use flow_tests::dask::RustWorker;

use super::support::{call, scheduler};

#[test]
fn a_flow_that_fails_leaves_a_page_of_what_ran() {
    let program = Path::new(env!("CARGO_BIN_EXE_dask_bridge"));
    let scheduler = scheduler();
    let worker = |name| {
        let worker = RustWorker::start(program, scheduler.address(), name);
        worker.expect("a worker")
    };
    let _workers = ["one", "two"].map(worker);
    // Both work, so that values move.
    let () = call(&scheduler, "worker.py", "wait_for_workers", &["2"]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("report.html");
    let run = |file: &Path| {
        let flow = Command::new(program)
            .arg(scheduler.address())
            .arg(file)
            .output();
        let flow = flow.expect("the flow's program");
        assert!(!flow.status.success(), "the flow fails");
        String::from_utf8_lossy(&flow.stderr).into_owned()
    };
    let errors = run(&file);
    assert!(errors.contains("is odd"), "{errors}");

    let page = std::fs::read_to_string(&file).expect("a report");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>"));
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "{page}"
    );
    assert!(page.contains("20 Completed"), "all of `integer`: {page}");
    assert!(
        page.contains("10 Completed, 10 Failed"),
        "half of `even`: {page}"
    );
    let lanes = page.matches("<li class=\"run\"").count();
    assert!(
        (1..=2).contains(&lanes),
        "a lane per thread that worked: {page}"
    );
    assert_eq!(page.matches("class=\"bar failed\"").count(), 10, "{page}");
    assert!(
        page.matches("class=\"bar completed\"").count() >= 30,
        "{page}"
    );

    assert!(
        page.contains("class=\"bar transfer\""),
        "values for `total`: {page}"
    );

    let errors = run(&directory.path().join("no/such/directory.html"));
    assert!(
        errors.contains("the performance report cannot be written to"),
        "{errors}"
    );
}
