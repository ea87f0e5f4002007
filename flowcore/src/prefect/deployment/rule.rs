//! Recurrence rules (RFC 5545), as Prefect's servers read them with Python's
//! dateutil: what those refuse, or would stumble over, is told here.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};

use super::error::DeploymentError;

/// Parts whose values are numbers, and which. Some may be counted from the end.
const NUMBERS: [(&str, RangeInclusive<i32>, bool); 10] = [
    ("BYSECOND", 0..=59, false),
    ("BYMINUTE", 0..=59, false),
    ("BYHOUR", 0..=23, false),
    ("BYMONTHDAY", 1..=31, true),
    ("BYYEARDAY", 1..=366, true),
    ("BYWEEKNO", 1..=53, true),
    ("BYMONTH", 1..=12, false),
    ("BYSETPOS", 1..=366, true),
    // Dateutil's own: days from Easter on.
    ("BYEASTER", 0..=366, true),
    // The 53rd Monday of a year; part of days, as in `-1FR`.
    ("BYDAY", 1..=53, true),
];
const FREQUENCIES: [&str; 7] = [
    "YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY",
];
const DAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// Prefect's own limit, in letters.
const LONGEST: usize = 6500;

/// What is wrong with a rule.
pub(super) fn check_rrule(text: &str) -> Result<(), DeploymentError> {
    check(text).map_err(|problem| DeploymentError::Rrule {
        rule: text.chars().take(100).collect(),
        problem,
    })
}

fn check(text: &str) -> Result<(), String> {
    if text.chars().count() > LONGEST {
        return Err(format!("it has more than {LONGEST} letters"));
    }
    let mut has_dates = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let line = line.to_ascii_uppercase();
        let (name, value) = match line.split_once(':') {
            Some((name, value)) => (name.split(';').next().unwrap_or_default(), value),
            None => ("RRULE", line.as_str()),
        };
        match name {
            "RRULE" | "EXRULE" => check_parts(value)?,
            "DTSTART" | "RDATE" | "EXDATE" => value.split(',').try_for_each(check_time)?,
            other => return Err(format!("`{other}` is no line of a rule")),
        }
        has_dates |= matches!(name, "RRULE" | "RDATE");
    }
    if !has_dates {
        return Err("there is no rule in it".to_owned());
    }
    Ok(())
}

fn check_parts(rule: &str) -> Result<(), String> {
    let mut has_frequency = false;
    for part in rule.split(';') {
        if part.is_empty() {
            return Err("a `;` stands between two parts only".to_owned());
        }
        let Some((key, value)) = part.split_once('=') else {
            return Err(format!("`{part}` has no value"));
        };
        if value.is_empty() {
            return Err(format!("`{key}` has no value"));
        }
        has_frequency |= key == "FREQ";
        check_part(key, value)?;
    }
    if !has_frequency {
        return Err("`FREQ` is missing".to_owned());
    }
    Ok(())
}

fn check_part(key: &str, value: &str) -> Result<(), String> {
    let one_of = |names: &[&str]| {
        if names.contains(&value) {
            return Ok(());
        }
        Err(format!(
            "`{key}` is one of {}, not `{value}`",
            names.join(", ")
        ))
    };
    match key {
        "FREQ" => one_of(&FREQUENCIES),
        "WKST" => one_of(&DAYS),
        "UNTIL" => check_time(value),
        "COUNT" | "INTERVAL" => match value.parse::<u32>() {
            Ok(1..) => Ok(()),
            _ => Err(format!("`{key}` is no number from 1 on")),
        },
        "BYDAY" | "BYWEEKDAY" => value.split(',').try_for_each(check_day),
        _ => value.split(',').try_for_each(|one| check_number(key, one)),
    }
}

fn check_number(key: &str, text: &str) -> Result<(), String> {
    let known = NUMBERS.iter().find(|(name, ..)| *name == key);
    let Some((_, numbers, from_end)) = known else {
        return Err(format!("`{key}` is no part of a rule"));
    };
    let fits = |number: i32| numbers.contains(&number) || (*from_end && numbers.contains(&-number));
    if text.parse().is_ok_and(fits) {
        return Ok(());
    }
    let (first, last) = numbers.clone().into_inner();
    let end = if *from_end {
        ", or below zero from the end on"
    } else {
        ""
    };
    Err(format!(
        "`{key}` has numbers from {first} to {last}{end}, not `{text}`"
    ))
}

/// `MO`, `1MO`, `-1FR`, or `FR(-1)`.
fn check_day(text: &str) -> Result<(), String> {
    let wrong = || Err(format!("`{text}` is no day: days are {}", DAYS.join(", ")));
    let (number, day) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((day, number)) => (number, day),
        None if text.is_ascii() && text.len() >= 2 => text.split_at(text.len() - 2),
        None => return wrong(),
    };
    if !DAYS.contains(&day) {
        return wrong();
    }
    if number.is_empty() {
        return Ok(());
    }
    check_number("BYDAY", number)
}

/// A time as rules have it, such as `20300101T090000Z`, or one with dashes.
fn check_time(text: &str) -> Result<(), String> {
    let is_time = text.parse::<DateTime>().is_ok()
        || text.parse::<Timestamp>().is_ok()
        || text.parse::<Date>().is_ok();
    if is_time {
        return Ok(());
    }
    Err(format!("`{text}` is no time such as `20300101T090000`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_every_form_are_taken() {
        for rule in [
            "FREQ=DAILY",
            "RRULE:FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9\n",
            "DTSTART:20200101T000000\nFREQ=DAILY;BYHOUR=9",
            "DTSTART;TZID=Europe/Berlin:20200101T000000\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20200102T000000",
            "DTSTART;VALUE=DATE:20200101\nFREQ=DAILY",
            "freq=hourly;interval=2",
            "FREQ=MONTHLY;BYDAY=+1MO,-1FR,MO(+1);BYSETPOS=-1;WKST=SU",
            "FREQ=YEARLY;BYMONTH=1,12;BYMONTHDAY=-31,31;BYYEARDAY=366;BYWEEKNO=53",
            "FREQ=YEARLY;BYEASTER=-1;BYMINUTE=59;BYSECOND=0",
            "FREQ=DAILY;UNTIL=20300101T000000Z",
            "FREQ=DAILY;UNTIL=2030-01-01",
            "RDATE:20300101T000000,20310101T000000",
        ] {
            check_rrule(rule).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn other_rules_are_told_with_what_is_wrong() {
        for (rule, part) in [
            ("", "no rule in it"),
            ("DTSTART:20200101T000000", "no rule in it"),
            ("BYDAY=MO", "`FREQ` is missing"),
            ("FREQ=NIGHTLY", "not `NIGHTLY`"),
            ("FREQ=DAILY;BYDAYS=MO", "`BYDAYS` is no part"),
            ("FREQ=DAILY;COUNT=none", "no number"),
            ("FREQ=DAILY;INTERVAL=0", "no number from 1 on"),
            ("FREQ=DAILY;INTERVAL", "has no value"),
            ("FREQ=DAILY;INTERVAL=", "has no value"),
            ("FREQ=DAILY;", "between two parts"),
            ("FREQ=DAILY; BYHOUR=9", "` BYHOUR` is no part"),
            ("FREQ=DAILY;BYHOUR=25", "from 0 to 23, not `25`"),
            ("FREQ=DAILY;BYHOUR=-1", "not `-1`"),
            ("FREQ=DAILY;BYHOUR=9,", "not ``"),
            ("FREQ=DAILY;BYMONTHDAY=0", "or below zero"),
            ("FREQ=WEEKLY;BYDAY=XX", "`XX` is no day"),
            ("FREQ=WEEKLY;BYDAY=ä", "`ä` is no day"),
            ("FREQ=WEEKLY;BYDAY=0MO", "not `0`"),
            ("FREQ=DAILY;WKST=XX", "not `XX`"),
            ("FREQ=DAILY;UNTIL=tomorrow", "`TOMORROW` is no time"),
            ("FREQ=DAILY;UNTIL=20301301", "is no time"),
            ("DTSTART:nonsense\nFREQ=DAILY", "is no time"),
            ("START:x\nFREQ=DAILY", "`START` is no line"),
        ] {
            let error = check_rrule(rule).unwrap_err().to_string();
            assert!(error.contains(part), "{rule}: {error}");
        }
        assert!(check_rrule(&"FREQ=DAILY;".repeat(1000)).is_err());
    }
}
