//! When a deployment runs by itself.
//!
//! The server makes the runs; what is wrong with a schedule is told here, where
//! it was written, as far as it can be seen without a server.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::cron::check_cron;
use super::error::DeploymentError;
use super::rule::check_rrule;

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
            When::Interval { every, .. } => check_interval(*every)?,
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

/// What servers count with: microseconds, and no more than so many days.
const SHORTEST: Duration = Duration::from_micros(1);
const LONGEST: Duration = Duration::from_secs(999_999_999 * 24 * 60 * 60);

fn check_interval(interval: Duration) -> Result<(), DeploymentError> {
    if (SHORTEST..=LONGEST).contains(&interval) {
        return Ok(());
    }
    Err(DeploymentError::Interval { interval })
}

pub(super) fn check_timezone(name: &str) -> Result<(), DeploymentError> {
    // Here capitals do not count; for servers they do.
    let is_known = TimeZone::get(name).is_ok_and(|zone| zone.iana_name() == Some(name));
    if is_known {
        return Ok(());
    }
    Err(DeploymentError::TimeZone {
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_zones_are_checked() {
        for interval in [Duration::ZERO, Duration::from_nanos(400), Duration::MAX] {
            assert!(Schedule::interval(interval).check().is_err());
        }
        let every = Schedule::interval(Duration::from_secs(1));
        every.clone().timezone("Europe/Berlin").check().unwrap();
        for name in [
            "Europe/Berln",
            "europe/berlin",
            "utc",
            "UTC+1",
            "+01:00",
            "",
        ] {
            let error = every.clone().timezone(name).check().unwrap_err();
            let part = format!("no time zone `{name}`");
            assert!(error.to_string().contains(&part), "{error}");
        }
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
