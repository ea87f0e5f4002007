//! When a deployment runs by itself.
//!
//! The server makes the runs; what is wrong with a schedule is told here, where
//! it was written, as far as it can be seen without a server.

use std::time::{Duration, SystemTime};

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::DeploymentError;

/// When a [`Deployment`](crate::Deployment) runs by itself: by a cron
/// expression, at an interval, or by a recurrence rule.
///
/// ```
/// use flowcore::Schedule;
/// use std::time::Duration;
///
/// let mornings = Schedule::cron("0 6 * * mon-fri").timezone("Europe/Berlin");
/// let often = Schedule::interval(Duration::from_secs(600)).parameter("limit", 10);
/// let mondays = Schedule::rrule("FREQ=WEEKLY;BYDAY=MO;BYHOUR=9").active(false);
/// # let _ = (mornings, often, mondays);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a schedule does nothing until a deployment has it"]
pub struct Schedule {
    when: When,
    timezone: Option<String>,
    active: bool,
    parameters: Map<String, Value>,
    slug: Option<String>,
}

#[derive(Clone, Debug)]
enum When {
    Cron {
        expression: String,
        day_or: bool,
    },
    Interval {
        every: Duration,
        anchor: Option<SystemTime>,
    },
    Rrule(String),
}

/// All processes that serve a deployment name the same times, whenever they
/// were started.
const ANCHOR: &str = "2020-01-01T00:00:00Z";

impl Schedule {
    /// By a cron expression of five fields: minute, hour, day of the month,
    /// month, day of the week.
    pub fn cron(expression: impl Into<String>) -> Self {
        Self::at(When::Cron {
            expression: expression.into(),
            day_or: true,
        })
    }

    /// Each time that this much has passed.
    pub fn interval(every: Duration) -> Self {
        Self::at(When::Interval {
            every,
            anchor: None,
        })
    }

    /// By a recurrence rule of RFC 5545, such as `FREQ=WEEKLY;BYDAY=MO,FR`.
    pub fn rrule(rule: impl Into<String>) -> Self {
        Self::at(When::Rrule(rule.into()))
    }

    fn at(when: When) -> Self {
        Self {
            when,
            timezone: None,
            active: true,
            parameters: Map::new(),
            slug: None,
        }
    }

    /// Where its hours and days are those of the clock, such as
    /// `Europe/Berlin`. Default: the deployment's, else UTC.
    pub fn timezone(mut self, name: impl Into<String>) -> Self {
        self.timezone = Some(name.into());
        self
    }

    /// Whether it counts. Default: yes.
    pub fn active(mut self, active: bool) -> Self {
        self.active = active;
        self
    }

    /// A parameter of its runs, instead of the deployment's.
    ///
    /// # Panics
    ///
    /// The value cannot be written as JSON.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.parameters.insert(name.into(), written(&value));
        self
    }

    /// A short name by which other tools find it; no other schedule of the
    /// deployment has it.
    pub fn slug(mut self, slug: impl Into<String>) -> Self {
        self.slug = Some(slug.into());
        self
    }

    /// Of a cron expression with a day of the month and one of the week:
    /// whether either is enough, as in cron, or both are wanted. Default:
    /// either is enough.
    pub fn day_or(mut self, or: bool) -> Self {
        if let When::Cron { day_or, .. } = &mut self.when {
            *day_or = or;
        }
        self
    }

    /// Of an interval: one of its times. Default: the beginning of 2020.
    pub fn anchor(mut self, time: SystemTime) -> Self {
        if let When::Interval { anchor, .. } = &mut self.when {
            *anchor = Some(time);
        }
        self
    }

    pub(super) fn is_active(&self) -> bool {
        self.active
    }

    pub(super) fn own_parameters(&self) -> &Map<String, Value> {
        &self.parameters
    }

    /// What can be seen to be wrong with it.
    pub(super) fn check(&self) -> Result<(), DeploymentError> {
        match &self.when {
            When::Cron { expression, .. } => check_cron(expression)?,
            When::Rrule(rule) => check_rrule(rule)?,
            When::Interval { every, .. } if every.is_zero() => {
                return Err(DeploymentError::Interval { interval: *every });
            }
            When::Interval { .. } => {}
        }
        self.timezone.as_deref().map_or(Ok(()), check_timezone)
    }

    /// As the server takes it.
    pub(super) fn to_json(&self, timezone: Option<&str>) -> Value {
        let timezone = self.timezone.as_deref().or(timezone).unwrap_or("UTC");
        let schedule = match &self.when {
            When::Cron { expression, day_or } => {
                json!({"cron": expression, "timezone": timezone, "day_or": day_or})
            }
            When::Interval { every, anchor } => {
                let anchor = anchor.and_then(|time| Timestamp::try_from(time).ok());
                let anchor = anchor.map_or_else(|| ANCHOR.to_owned(), |time| time.to_string());
                json!({
                    "interval": every.as_secs_f64(),
                    "anchor_date": anchor,
                    "timezone": timezone,
                })
            }
            When::Rrule(rule) => json!({"rrule": rule, "timezone": timezone}),
        };
        let mut entry = json!({"schedule": schedule, "active": self.active});
        if !self.parameters.is_empty() {
            entry["parameters"] = self.parameters.clone().into();
        }
        if let Some(slug) = &self.slug {
            entry["slug"] = slug.as_str().into();
        }
        entry
    }
}

/// A value of a parameter.
pub(super) fn written(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| {
        let type_name = std::any::type_name_of_val(value);
        panic!("a parameter of type `{type_name}` cannot be written as JSON: {error}")
    })
}

pub(super) fn check_timezone(name: &str) -> Result<(), DeploymentError> {
    match TimeZone::get(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(DeploymentError::TimeZone {
            name: name.to_owned(),
        }),
    }
}

fn check_cron(expression: &str) -> Result<(), DeploymentError> {
    let wrong = |problem: String| DeploymentError::Cron {
        expression: expression.to_owned(),
        problem,
    };
    // Prefect refuses them: the times would be others on each server.
    let is_random =
        |field: &str| field.eq_ignore_ascii_case("R") || field.eq_ignore_ascii_case("H");
    if expression.split_whitespace().any(is_random) {
        return Err(wrong(
            "random and hashed fields are not possible".to_owned(),
        ));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    match parser.parse(expression) {
        Ok(_) => Ok(()),
        Err(error) => {
            let problem = error.to_string();
            Err(wrong(problem.trim_end_matches('.').to_owned()))
        }
    }
}

/// The parts of a rule that there are.
const PARTS: [&str; 15] = [
    "FREQ",
    "UNTIL",
    "COUNT",
    "INTERVAL",
    "BYSECOND",
    "BYMINUTE",
    "BYHOUR",
    "BYDAY",
    "BYWEEKDAY",
    "BYMONTHDAY",
    "BYYEARDAY",
    "BYWEEKNO",
    "BYMONTH",
    "BYSETPOS",
    "WKST",
];
const FREQUENCIES: [&str; 7] = [
    "YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY",
];
/// Prefect's own limit.
const LONGEST_RULE: usize = 6500;

/// The form of a rule. Values of its parts are looked at by the server: the
/// libraries that read rules bring a calendar of their own.
fn check_rrule(text: &str) -> Result<(), DeploymentError> {
    let wrong = |problem: String| {
        Err(DeploymentError::Rrule {
            rule: text.chars().take(100).collect(),
            problem,
        })
    };
    if text.len() > LONGEST_RULE {
        return wrong(format!("it has more than {LONGEST_RULE} bytes"));
    }
    let mut rules = 0;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let line = line.to_ascii_uppercase();
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name.split(';').next().unwrap_or_default(), value),
            None => ("RRULE", line.as_str()),
        };
        match name {
            "RRULE" | "EXRULE" => rules += 1,
            "DTSTART" | "RDATE" | "EXDATE" => continue,
            other => return wrong(format!("`{other}` is no line of a rule")),
        }
        let mut frequency = None;
        for part in value.split(';').filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return wrong(format!("`{part}` has no value"));
            };
            if !PARTS.contains(&key) {
                return wrong(format!("`{key}` is no part of a rule"));
            }
            if value.is_empty() {
                return wrong(format!("`{key}` has no value"));
            }
            if key == "FREQ" {
                frequency = Some(value.to_owned());
            }
            let is_number = matches!(key, "COUNT" | "INTERVAL");
            if is_number && !value.parse::<u32>().is_ok_and(|count| count > 0) {
                return wrong(format!("`{key}` is no number from 1 on"));
            }
        }
        match frequency {
            None => return wrong("`FREQ` is missing".to_owned()),
            Some(frequency) if !FREQUENCIES.contains(&frequency.as_str()) => {
                return wrong(format!(
                    "`FREQ` is one of {}, not `{frequency}`",
                    FREQUENCIES.join(", ")
                ));
            }
            Some(_) => {}
        }
    }
    if rules == 0 {
        return wrong("there is no rule in it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_prefect_takes_are_taken() {
        for expression in [
            "* * * * *",
            "0 6 * * *",
            "*/15 9-17 * * mon-fri",
            "0 0 1,15 jan *",
            "5 4 * * sun",
            "0 0 L * *",
            "@daily",
        ] {
            check_cron(expression).unwrap();
        }
    }

    #[test]
    fn other_expressions_are_told_with_the_cure() {
        for expression in [
            "",
            "0 25 * * *",
            "* * * *",
            "0 0 6 * * *",
            "hourly",
            "60 * * * *",
            "H * * * *",
            "0 6 * * monday-",
        ] {
            let error = check_cron(expression).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{expression}` is no cron")),
                "{error}"
            );
            assert!(error.contains("five fields"), "{error}");
        }
    }

    #[test]
    fn rules_have_a_form() {
        for rule in [
            "FREQ=DAILY",
            "RRULE:FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9",
            "DTSTART:20200101T000000\nFREQ=DAILY;BYHOUR=9",
            "DTSTART;TZID=Europe/Berlin:20200101T000000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20200102T000000",
            "freq=hourly;interval=2",
        ] {
            check_rrule(rule).unwrap();
        }
        for (rule, part) in [
            ("", "no rule in it"),
            ("BYDAY=MO", "`FREQ` is missing"),
            ("FREQ=NIGHTLY", "not `NIGHTLY`"),
            ("FREQ=DAILY;BYDAYS=MO", "`BYDAYS` is no part"),
            ("FREQ=DAILY;COUNT=none", "no number"),
            ("FREQ=DAILY;INTERVAL", "has no value"),
            ("START:x\nFREQ=DAILY", "`START` is no line"),
        ] {
            let error = check_rrule(rule).unwrap_err().to_string();
            assert!(error.contains(part), "{rule}: {error}");
        }
        assert!(check_rrule(&"FREQ=DAILY;".repeat(1000)).is_err());
    }

    #[test]
    fn intervals_and_zones_are_checked() {
        assert!(Schedule::interval(Duration::ZERO).check().is_err());
        let every = Schedule::interval(Duration::from_secs(1));
        every.clone().timezone("Europe/Berlin").check().unwrap();
        let error = every.timezone("Europe/Berln").check().unwrap_err();
        assert!(
            error.to_string().contains("no time zone `Europe/Berln`"),
            "{error}"
        );
    }

    #[test]
    fn the_server_gets_what_prefect_sends() {
        let cron = Schedule::cron("0 6 * * *").parameter("n", 2);
        let expected = json!({
            "schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin", "day_or": true},
            "active": true, "parameters": {"n": 2},
        });
        assert_eq!(cron.to_json(Some("Europe/Berlin")), expected);
        let interval = Schedule::interval(Duration::from_millis(2500));
        let interval = interval.timezone("UTC").active(false);
        let expected = json!({
            "schedule": {"interval": 2.5, "anchor_date": ANCHOR, "timezone": "UTC"},
            "active": false,
        });
        assert_eq!(interval.to_json(Some("Europe/Berlin")), expected);
        let anchored = Schedule::interval(Duration::from_secs(5)).anchor(SystemTime::UNIX_EPOCH);
        let json = anchored.to_json(None);
        assert_eq!(json["schedule"]["anchor_date"], "1970-01-01T00:00:00Z");
    }
}
