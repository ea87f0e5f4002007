//! What a program writes on stderr, read as a user sees it: this program runs
//! itself for that.

use std::process::Command;

use flowcore::prelude::*;

use crate::support::run;

const IS_SHOWN: &str = "FLOW_TEST_CONSOLE";

#[task(task_run_name = "speak-{x}", retries = 1)]
fn speak(x: i64) -> Result<i64, String> {
    tracing::info!(answer = x, "said");
    tracing::debug!("not shown");
    match x {
        0 => Err("no voice".into()),
        x => Ok(x),
    }
}

#[flow(name = "inner", flow_run_name = "whisper")]
async fn inner() -> Result<()> {
    let _ = speak.submit(1).await?;
    Ok(())
}

#[flow(name = "outer", flow_run_name = "talk-{x}")]
async fn outer(x: i64) -> Result<()> {
    tracing::warn!(times = x, "listen");
    inner().await?;
    let below = speak.submit(speak.submit(0));
    below.wait(None).await;
    speak.map(vec![5; 101]).await?;
    Ok(())
}

/// Level, speaker and text of a line such as
/// `12:34:56.789 | INFO    | Flow run 'talk-7' - text`.
fn parts(line: &str) -> (String, String, String) {
    let mut columns = line.splitn(3, " | ");
    let time = columns.next().unwrap();
    let pattern: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    assert_eq!(pattern, "99:99:99.999", "{line}");
    let level = columns.next().unwrap_or_else(|| panic!("{line}"));
    assert_eq!(level.len(), 7, "{line}");
    let (who, text) = columns.next().unwrap().split_once(" - ").unwrap();
    (level.trim_end().into(), who.into(), text.into())
}

#[test]
fn lines_stand_under_their_runs() {
    if std::env::var_os(IS_SHOWN).is_some() {
        flowcore::init();
        return run(async { outer(7).await.unwrap() });
    }
    let shown = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "console::lines_stand_under_their_runs",
            "--nocapture",
        ])
        .env(IS_SHOWN, "1")
        .env_remove("RUST_LOG")
        .env_remove("PREFECT_LOGGING_LEVEL")
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let stderr = String::from_utf8(shown.stderr).unwrap();
    let lines: Vec<_> = stderr.lines().map(parts).collect();
    let text = |level: &str, who: &str, text: &str| {
        let wanted = (level.to_owned(), who.to_owned(), text.to_owned());
        let at = lines.iter().position(|line| *line == wanted);
        at.unwrap_or_else(|| panic!("no {wanted:?} in\n{stderr}"))
    };
    let (talk, whisper) = ("Flow run 'talk-7'", "Flow run 'whisper'");
    let order = [
        text("INFO", talk, "Beginning flow run 'talk-7' for flow 'outer'"),
        text("WARNING", talk, "listen times=7"),
        text(
            "INFO",
            whisper,
            "Beginning subflow run 'whisper' for flow 'inner'",
        ),
        text("INFO", "Task run 'speak-1'", "said answer=1"),
        text(
            "INFO",
            "Task run 'speak-1'",
            "Finished in state Completed()",
        ),
        text("INFO", whisper, "Finished in state Completed()"),
        text(
            "INFO",
            "Task run 'speak-0'",
            "Task run failed with exception: Error(\"no voice\") - Retry 1/1 will start immediately",
        ),
        text(
            "ERROR",
            "Task run 'speak-0'",
            "Finished in state Failed(\"Task run encountered an exception Error: no voice\")",
        ),
        text("INFO", talk, "Finished 101 runs of 'speak': 101 completed"),
        text("INFO", talk, "Finished in state Completed()"),
    ];
    assert!(order.is_sorted(), "{order:?} in\n{stderr}");
    assert!(!stderr.contains("not shown"), "{stderr}");
    let not_ready = "Upstream task run 'speak-0' did not reach a 'COMPLETED' state.";
    let (level, who, _) = lines
        .iter()
        .find(|(_, _, text)| {
            *text == format!("Finished in state NotReady({not_ready:?}, type=PENDING)")
        })
        .unwrap_or_else(|| panic!("no NotReady in\n{stderr}"));
    assert_eq!(level, "ERROR");
    // Its template would need the argument that never came.
    assert!(who.starts_with("Task run 'speak-"), "{who}");
}

const IS_BESIDE: &str = "FLOW_TEST_LAYER";

/// A user's own layer: it tells of whom each event of this test is.
struct Own;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Own {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target().starts_with(module_path!()) {
            let run = flowcore::run_info().and_then(|run| run.task_run_name);
            println!("own: {} {run:?}", event.metadata().level());
        }
    }
}

#[test]
fn the_layer_stands_beside_others() {
    if std::env::var_os(IS_BESIDE).is_some() {
        use tracing_subscriber::prelude::*;
        tracing_subscriber::registry()
            .with(flowcore::layer())
            .with(Own)
            .init();
        flowcore::init();
        return run(async { inner().await.unwrap() });
    }
    let shown = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "console::the_layer_stands_beside_others",
            "--nocapture",
        ])
        .env(IS_BESIDE, "1")
        .env_remove("RUST_LOG")
        .env("PREFECT_LOGGING_LEVEL", "WARNING")
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    // Its level is the layer's own: others still get all.
    let stderr = String::from_utf8(shown.stderr).unwrap();
    assert!(!stderr.contains(" | INFO "), "{stderr}");
    let stdout = String::from_utf8(shown.stdout).unwrap();
    for level in ["INFO", "DEBUG"] {
        let line = format!("own: {level} Some(\"speak-1\")");
        assert!(stdout.contains(&line), "no {line} in\n{stdout}");
    }
}
