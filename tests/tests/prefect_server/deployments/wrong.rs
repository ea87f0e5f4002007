//! Schedules that are none.

use flow_tests::prefect::{Faults, FaultyWay, Server};
use serde_json::json;

use super::*;

/// A command of the program that is its own command line, which may ask the
/// server nothing: exit code and what it says.
fn refused(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().expect("a directory");
    let way = FaultyWay::to(server.address(), Faults::default()).expect("a free port");
    let mut command = command_of(server, env!("CARGO_BIN_EXE_command_line"), &home);
    command.env("PREFECT_API_URL", way.url()).args(arguments);
    let (code, stdout, stderr) = ran(command);
    assert_eq!(stdout, "", "{stderr}");
    assert_eq!(way.met().requests, 0, "nothing is told before: {stderr}");
    (code, stderr)
}

#[test]
fn a_schedule_that_is_none_ends_serve_and_deploy_before_the_server_hears_of_it() {
    let server = Server::shared();
    let cases = [
        (
            ["--cron", "0 25 * * *"],
            "`0 25 * * *` is no cron expression",
            "five fields",
        ),
        (
            ["--cron", "often"],
            "`often` is no cron expression",
            "`0 6 * * mon-fri`",
        ),
        (
            ["--interval", "0"],
            "an interval of 0ns is no schedule",
            "such as `10m`",
        ),
        (
            ["--interval=-5s", "--paused"],
            "`--interval -5s` is no duration",
            "`10m`",
        ),
        (
            ["--rrule", "FREQ=NIGHTLY"],
            "`FREQ=NIGHTLY` is no recurrence rule",
            "`FREQ=WEEKLY",
        ),
        (
            ["--rrule", "FREQ=DAILY;BYHOUR=25"],
            "not `25`",
            "after RFC 5545",
        ),
        (
            ["--timezone", "Europe/Berln"],
            "no time zone `Europe/Berln`",
            "`Europe/Berlin`",
        ),
        (
            ["--timezone", "europe/berlin"],
            "no time zone `europe/berlin`",
            "`Europe/Berlin`",
        ),
    ];
    for (schedule, text, cure) in cases {
        for command in [
            &["serve", "prints"][..],
            &["deploy", "prints", "--pool", "any"],
        ] {
            let arguments = [command, &["--name", "never-made"], &schedule].concat();
            let (code, stderr) = refused(server, &arguments);
            assert!(
                matches!(code, Some(1 | 2)),
                "{arguments:?}: {code:?} {stderr}"
            );
            assert!(
                stderr.contains(text) && stderr.contains(cure),
                "{arguments:?}: {stderr}"
            );
        }
    }
    let made = json!({"deployments": {"name": {"any_": ["never-made"]}}});
    assert_eq!(server.all("deployments", &made), [] as [Value; 0]);
}

fn crons() -> Vec<&'static str> {
    vec![
        "* * * * *",
        "0 6 * * mon-fri",
        "*/15 9-17 * * *",
        "0 0 1,15 jan *",
        "0 0 L * *",
        "@daily",
        "@hourly",
        "@yearly",
        "0 6 * * 7",
        "0 6 ? * *",
        "0 6 * * mon#2",
        "5/15 * * * *",
        "0-5/2 * * * *",
        "0\t6 * * *",
        "0 6 31 2 *",
        "0 6 1,L * *",
        "0 6 * JAN Mon",
        "5-1 * * * *",
        "0 22 * * fri-mon",
        "0 6 * * L5",
        "* * * dec-feb *",
        "*/61 * * * *",
        "0 6 * * ?",
        "00 06 * * *",
        "@MIDNIGHT",
        "0 6 * * mon/2",
        "0 6 * * 0-7",
        "0 6 * * mon#1,fri#2",
        "1/1 * * * *",
        "",
        "0 25 * * *",
        "* * * *",
        "hourly",
        "60 * * * *",
        "H * * * *",
        "R * * * *",
        "*/0 * * * *",
        "0 6 * * mon-",
        "0 6 * * 8",
        "0 6 * * 5L",
        "0 6 * * friL",
        "0 6 1W * *",
        "0 6 * * 1#6",
        "-1 * * * *",
        "1-5-7 * * * *",
        "a b c d e",
        "0 6 * 13 *",
        "0 6 32 * *",
        "0 6 0 * *",
        "0 6 * 0 *",
        "1,,2 * * * *",
        "0 6 * * monday",
        "@reboot",
        "@often",
        "0 6 LW * *",
        " @daily",
        "* * * * * ;",
        "0 6 * * *\n0 7 * * *",
        "0.5 * * * *",
        "0 6 +1 * *",
        "0 6 * * #2",
        "? * * * *",
        "1, * * * *",
        "/5 * * * *",
        "*-5 * * * *",
        "0 6 L-1 * *",
        "0 6 * * 1-5#2",
        "5/0 * * * *",
    ]
}

fn rules() -> Vec<&'static str> {
    vec![
        "FREQ=DAILY",
        "RRULE:FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9\n",
        "freq=hourly;interval=2",
        "DTSTART:20200101T000000\nFREQ=DAILY;BYHOUR=9",
        "DTSTART;VALUE=DATE:20200101\nFREQ=DAILY",
        "DTSTART;TZID=Europe/Berlin:20200101T000000\nRRULE:FREQ=DAILY\nEXDATE:20200102T000000",
        "FREQ=MONTHLY;BYDAY=+1MO,-1FR,MO(+1);BYSETPOS=-1;WKST=SU",
        "RDATE:20300101T000000",
        "FREQ=YEARLY;BYMONTH=1,12;BYMONTHDAY=-31,31;BYYEARDAY=366;BYWEEKNO=53;BYEASTER=0",
        "FREQ=DAILY;UNTIL=20300101T000000Z",
        "FREQ=DAILY;UNTIL=2030-01-01",
        "FREQ=DAILY;COUNT=3",
        "FREQ=DAILY;BYSECOND=59;BYMINUTE=59",
        "",
        "BYDAY=MO",
        "DTSTART:20200101T000000",
        "FREQ=NIGHTLY",
        "FREQ=DAILY;BYDAYS=MO",
        "FREQ=DAILY;COUNT=none",
        "FREQ=DAILY;BYHOUR=25",
        "FREQ=DAILY;BYHOUR=9,",
        "FREQ=DAILY;",
        "FREQ=DAILY; BYHOUR=9",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;BYDAY=0MO",
        "FREQ=DAILY;WKST=XX",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20301301",
        "FREQ=DAILY;BYSETPOS=0",
        "FREQ=DAILY;BYMINUTE=60",
        "FREQ=DAILY;BYSECOND=60",
        "DTSTART:nonsense\nFREQ=DAILY",
        "X-FOO:1\nFREQ=DAILY",
    ]
}

fn zones() -> Vec<&'static str> {
    vec![
        "UTC",
        "Europe/Berlin",
        "US/Pacific",
        "CET",
        "Etc/GMT+5",
        "Asia/Kolkata",
        "Europe/Berln",
        "europe/berlin",
        "utc",
        "+01:00",
        "UTC+1",
        "posix/Europe/Berlin",
        "Z",
        " UTC",
        "Mars",
    ]
}

#[test]
fn schedules_are_taken_and_refused_as_the_server_does() {
    let server = Server::shared();
    let pool = json!({"name": "of-a-list", "type": "process"});
    // Another test may have made it.
    server.request("POST", "/work_pools/", Some(&pool));
    let flow = server.post("/flows/", &json!({"name": "of-a-list"}));
    let of = |kind: &str, texts: Vec<&str>| -> Vec<Value> {
        texts.into_iter().map(|text| json!({kind: text})).collect()
    };
    let zone = |mut plan: Value| {
        plan["cron"] = json!("0 6 * * *");
        plan
    };
    let intervals = [0.0, 4e-7, 1e-6, 0.5, 3600.0, 1e13, 8.7e13];
    let intervals = intervals.map(|seconds| json!({"interval": seconds}));
    let cases = [
        ("cron", of("cron", crons())),
        ("rrule", of("rrule", rules())),
        (
            "timezone",
            of("timezone", zones()).into_iter().map(zone).collect(),
        ),
        ("interval", intervals.to_vec()),
    ];
    for (kind, plans) in cases {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = program(server, &home);
        // A server whose database is locked may not answer for a minute.
        command.env("PREFECT_API_REQUEST_TIMEOUT", "240");
        let list = json!(plans).to_string();
        let (code, stdout, stderr) = ran({
            command.args(["deployments", &list]);
            command
        });
        assert_eq!(code, Some(0), "{stderr}");
        let ours: Vec<Value> = serde_json::from_str(&stdout).expect("JSON");
        assert_eq!(ours.len(), plans.len());
        let mut differ = Vec::new();
        for (plan, ours) in plans.iter().zip(&ours) {
            let mut schedule = plan.clone();
            if schedule["timezone"].is_null() {
                schedule["timezone"] = json!("UTC");
            }
            let name = json!({
                "name": "raw", "flow_id": flow["id"], "paused": true,
                "schedules": [{"schedule": schedule, "active": true}],
            });
            let answer = server.wait_for("an answer", |server| {
                let answer = server.request("POST", "/deployments/", Some(&name));
                (answer.status != 503).then_some(answer)
            });
            let is_taken = (200..300).contains(&answer.status);
            if ours.is_null() != is_taken || (!is_taken && ours[0] != kind) {
                differ.push(format!("{plan}: {} {ours}", answer.status));
            }
        }
        assert!(differ.is_empty(), "{differ:#?}");
    }
}
