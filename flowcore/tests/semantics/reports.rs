//! What a call's report says of all that ran in it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{RunReport, StateChange, StateName};

use crate::support::{Bad, run};

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

#[task]
fn odd(x: i64) -> Result<i64, Bad> {
    if x % 2 == 1 {
        Ok(x)
    } else {
        Err(Bad::new(format!("{x} is even")))
    }
}

#[task]
async fn later(x: i64) -> i64 {
    tokio::task::yield_now().await;
    x
}

#[task]
fn sum_all(xs: Vec<i64>) -> i64 {
    xs.iter().sum()
}

fn names(states: &[StateChange]) -> Vec<&'static str> {
    states.iter().map(|state| state.name().as_str()).collect()
}

/// The states of each run, task by task.
fn histories<T>(report: &RunReport<T>) -> Vec<(String, Vec<&'static str>)> {
    report
        .runs()
        .map(|run| (run.task_name().to_owned(), names(run.states())))
        .collect()
}

#[test]
fn every_state_of_every_run_is_there_in_order() {
    static CALLS: AtomicU32 = AtomicU32::new(0);

    #[task(retries = 2, retry_delay = "1ms", task_run_name = "third-{x}")]
    fn third_time(x: i64) -> Result<i64, Bad> {
        match CALLS.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Err(Bad::new("not yet")),
            _ => Ok(x),
        }
    }

    #[flow]
    async fn several() -> Result<i64> {
        let lucky = third_time.submit(1);
        let even = odd.submit(2);
        let never = inc.submit(&even);
        never.wait(None).await;
        later(1).await?;
        lucky.await
    }

    run(async {
        let report = several().report().await;
        assert_eq!(*report.result().unwrap(), 1);
        assert!(report.state().is_completed());
        let expected: [(&str, &[&str]); 4] = [
            (
                "third_time",
                &[
                    "Pending",
                    "Running",
                    "AwaitingRetry",
                    "Retrying",
                    "AwaitingRetry",
                    "Retrying",
                    "Completed",
                ],
            ),
            ("odd", &["Pending", "Running", "Failed"]),
            ("inc", &["Pending", "NotReady"]),
            ("later", &["Pending", "Running", "Completed"]),
        ];
        let expected = expected.map(|(task, states)| (task.to_owned(), states.to_vec()));
        assert_eq!(histories(&report), expected);

        let mut runs = report.runs();
        let lucky = runs.next().unwrap();
        assert_eq!(lucky.name(), "third-1");
        assert_eq!(lucky.states()[6].attempt(), 3);
        assert!(lucky.task_key().ends_with("third_time"));
        let failed = runs.next().unwrap();
        assert_eq!(
            failed.states()[2].message(),
            Some("Task run encountered an exception Bad: 2 is even")
        );
        let never = runs.next().unwrap();
        let upstream = format!(
            "Upstream task run '{}' did not reach a 'COMPLETED' state.",
            failed.name()
        );
        assert_eq!(never.states()[1].message(), Some(upstream.as_str()));

        let flow = report.flow_runs().next().unwrap();
        assert_eq!(flow.flow_name(), Some("several"));
        assert_eq!(names(flow.states()), ["Pending", "Running", "Completed"]);
        let times = flow.states().windows(2);
        assert!(
            times
                .into_iter()
                .all(|pair| pair[0].timestamp() <= pair[1].timestamp())
        );
    });
}

#[test]
fn rows_of_maps_have_histories_and_long_maps_a_summary() {
    #[flow]
    async fn maps(rows: i64) -> Result<i64> {
        let all = odd.map(0..rows);
        let next = inc.map(&all);
        let kept = later.map(0..rows);
        next.wait(None).await;
        sum_all.submit(kept).await
    }

    run(async {
        let report = maps(4).report().await;
        let histories = histories(&report);
        let completed = ["Pending", "Running", "Completed"];
        let failed = ["Pending", "Running", "Failed"];
        let expected = [failed, completed, failed, completed];
        for (row, states) in expected.iter().enumerate() {
            assert_eq!(histories[row].1, states, "row {row}");
        }
        assert_eq!(histories[4].1, ["Pending", "NotReady"]);
        assert_eq!(histories[5].1, completed);
        assert_eq!(histories[8].1, completed);
        assert_eq!(report.runs().nth(7).unwrap().row(), Some(3));

        let report = maps(5_000).report().await;
        assert_eq!(*report.result().unwrap(), 12_497_500);
        let names: Vec<_> = report
            .runs()
            .map(|run| run.task_name().to_owned())
            .collect();
        assert_eq!(names, ["sum_all"]);
        let summary = report.summary();
        let [odds, incs, laters, sums] = summary.tasks() else {
            panic!("{summary}");
        };
        for task in [odds, incs, laters] {
            assert_eq!(task.runs(), 5_000, "{}", task.name());
        }
        assert_eq!(odds.count(StateName::Failed), 2_500);
        assert_eq!(incs.count(StateName::NotReady), 2_500);
        assert_eq!(laters.count(StateName::Completed), 5_000);
        assert_eq!(sums.runs(), 1);
        assert!(odds.mean() > Some(Duration::ZERO));
        let table = summary.to_string();
        assert!(table.contains("2,500 Completed, 2,500 Failed"), "{table}");
        assert!(table.contains("2,500 Completed, 2,500 NotReady"), "{table}");
    });
}

#[test]
fn a_map_whose_length_comes_late_is_whole() {
    #[task]
    fn list(n: i64) -> Vec<i64> {
        (0..n).collect()
    }

    #[flow]
    async fn late() -> Result<Vec<i64>> {
        inc.map(list.submit(3)).await
    }

    run(async {
        let report = late().report().await;
        let histories = histories(&report);
        assert_eq!(histories.len(), 4);
        for (_, states) in &histories {
            assert_eq!(states, &["Pending", "Running", "Completed"]);
        }
    });
}

#[test]
fn subflows_are_in_the_report_of_the_outer_flow() {
    #[flow]
    async fn inner(x: i64) -> Result<i64> {
        inc.submit(x).await
    }

    #[task]
    async fn calls_a_flow(x: i64) -> Result<i64> {
        inner(x).await
    }

    #[flow]
    async fn outer() -> Result<i64> {
        let first = calls_a_flow.submit(1);
        let second = inner(first.await?).await?;
        inner(second).report().await.into_result()
    }

    run(async {
        let report = outer().report().await;
        assert_eq!(*report.result().unwrap(), 4);
        let flows: Vec<_> = report.flow_runs().map(|flow| flow.flow_name()).collect();
        assert_eq!(
            flows,
            [Some("outer"), Some("inner"), Some("inner"), Some("inner")]
        );
        assert_eq!(report.summary().tasks()[1].runs(), 3);
    });
}

#[test]
fn failed_and_cancelled_flows_have_reports() {
    #[flow]
    async fn fails() -> Result<i64> {
        inc.submit(1).await?;
        odd.submit(4).await
    }

    #[task]
    async fn forever() {
        std::future::pending::<()>().await;
    }

    #[flow]
    async fn cancelled() -> Result<()> {
        let started = forever.submit();
        started.cancel();
        started.await
    }

    run(async {
        let report = fails().report().await;
        assert!(report.state().is_failed());
        assert!(report.result().is_err());
        assert_eq!(report.runs().count(), 2);
        let states = report.flow_runs().next().unwrap().states();
        let message = "Flow run encountered an exception: Bad: 4 is even";
        assert_eq!(states.last().unwrap().message(), Some(message));

        let report = cancelled().report().await;
        assert_eq!(report.runs().next().unwrap().state(), StateName::Cancelled);
    });
}

#[test]
fn a_task_outside_of_flows_has_a_report() {
    run(async {
        let report = inc(1).report().await;
        assert_eq!(report.runs().count(), 1);
        assert_eq!(report.flow_runs().next().unwrap().flow_name(), None);
        assert_eq!(report.into_result().unwrap(), 2);
    });
}

#[test]
fn a_value_that_cannot_be_copied_is_still_given() {
    #[derive(Debug)]
    struct Only(i64);

    #[task(local)]
    fn only() -> Only {
        Only(7)
    }

    run(async {
        let report = only().report().await;
        assert!(report.state().is_completed());
        assert_eq!(report.into_result().unwrap().0, 7);
    });
}

/// Tags that are opened and closed in pairs, and no raw text of a user.
fn assert_well_formed(document: &str) {
    const ALONE: [&str; 3] = ["meta", "!doctype", "br"];
    let mut open: Vec<&str> = Vec::new();
    for tag in document.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag that ends");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{tag}");
        } else if !tag.ends_with('/') && !ALONE.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn drawings_are_whole_whatever_things_are_called() {
    #[task(name = "</script><b onload='x'>\"&\u{7}")]
    fn hostile(x: i64) -> Result<i64, Bad> {
        Err(Bad::new(format!(
            "</title></style><script>alert({x})</script>"
        )))
    }

    #[flow(name = "</h1><script>", flow_run_name = "--><svg/onload=alert(1)>")]
    async fn attack() -> Result<i64> {
        let rows = hostile.map(0..3);
        let one = hostile.submit(1);
        let sum = sum_all.after(&one).submit(&rows);
        // The flow's failure would cancel the rows that have not begun.
        rows.wait(None).await;
        sum.await
    }

    run(async {
        let report = attack().report().await;
        let page = report.to_html();
        assert_well_formed(&page);
        assert_well_formed(&report.to_svg());
        for bad in ["<script", "onload='", "alert(1)</", "\u{7}"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert!(page.contains("&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(0)"));
        // Nothing is loaded from anywhere.
        for outside in ["src=", "href=", "@import", "url(http"] {
            assert!(!page.contains(outside), "{outside}");
        }
        let dot = report.to_dot();
        assert!(
            dot.contains(r#"label="</h1><script> · --><svg/onload=alert(1)>""#),
            "{dot}"
        );
        assert!(dot.contains(r#"\"&"#), "{dot}");
        assert_eq!(dot.matches('{').count(), dot.matches('}').count(), "{dot}");
    });
}

#[test]
fn drawings_stay_small() {
    #[flow]
    async fn first(x: i64) -> Result<i64> {
        inc.submit(x).await
    }

    #[flow]
    async fn large() -> Result<()> {
        let kept: Vec<_> = (0..3_000).map(|x| inc.submit(x)).collect();
        let odds: Vec<_> = (0..300).map(|x| odd.map([x, x + 1])).collect();
        for x in 0..300 {
            first(x).await?;
        }
        let rows = inc.map(0..200_000);
        sum_all.submit(kept).wait(None).await;
        drop((odds, rows));
        Ok(())
    }

    run(async {
        let report = large().report().await;
        assert_eq!(report.flow_runs().count(), 301);
        let page = report.to_html();
        assert_well_formed(&page);
        assert!(page.len() < 1_000_000, "{}", page.len());
        assert!(page.contains("more lanes are not drawn"));
        assert!(page.contains("200,000 rows"));
        assert!(page.contains("+ 288 flow runs"));
        // Those of the flow runs that are drawn.
        assert_eq!(report.to_svg().matches("<title>inc inc-").count(), 12);
    });
}

#[test]
fn the_graph_has_the_edges_of_the_flow() {
    #[flow]
    async fn middle(x: i64) -> Result<i64> {
        inc.submit(x).await
    }

    #[task]
    async fn calls(x: i64) -> Result<i64> {
        middle(x).await
    }

    #[flow]
    async fn graph() -> Result<i64> {
        let first = inc.map(0..4);
        let second = inc.map(&first);
        let called = calls.after(&second).submit(1);
        drop(sum_all.submit(second));
        called.await
    }

    run(async {
        let dot = graph().report().await.to_dot();
        let count = |style: &str| dot.matches(&format!("[style={style}")).count();
        assert_eq!(
            (count("solid"), count("dashed"), count("dotted")),
            (2, 1, 1),
            "{dot}"
        );
        assert_eq!(dot.matches("subgraph").count(), 2);
        assert!(dot.contains("lhead=cluster_"), "{dot}");
        assert_eq!(dot.matches(r"inc\n4 rows").count(), 2, "{dot}");
    });
}
