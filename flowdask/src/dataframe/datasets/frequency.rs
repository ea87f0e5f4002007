//! Frequencies as pandas writes them, and the points in time that one cuts a range into.
//!
//! The reference is `pandas.date_range(start, end, freq)`: a range starts at the first point on the
//! frequency's grid that is not before `start`, and ends with the last that is not after `end`.
//! Times are microseconds since 1970 without a time zone, as in pandas.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::{SignedDuration, Span, ToSpan, Unit};

use crate::dataframe::error::{Error, Result};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Longer than all of time that has dates.
const LONGEST: f64 = 9.0e18;
const ACCEPTED: &str = "write a number and a unit such as \"1s\", \"30min\", \"6h\", \"1d\", \"2w\", \"1W-MON\", \"1MS\" or \"1ME\"; \
     the units are us, ms, s, min, h, d, w, MS and ME (start and end of the month), QS and QE (of the quarter), YS and YE (of the year)";

/// How far apart the points of a range are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frequency {
    /// A fixed number of microseconds, from the start of the range on.
    Every(i64),
    /// Every so many weeks, on one day of the week.
    Weeks { count: i64, day: Weekday },
    /// Every so many months, on the first or last day of months that follow `anchor` (1 to 12) in
    /// steps of `period`.
    Months {
        count: i64,
        period: i8,
        anchor: i8,
        edge: Edge,
    },
}

/// The day of a month on which a month-wise frequency falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    Start,
    End,
}

impl Frequency {
    /// Reads a frequency such as `1s`, `2w`, `1h30min`, `W-MON` or `QE-JAN`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = |reason: &str| Error::InvalidFrequency {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(wrong(&format!("it is empty; {ACCEPTED}")));
        }
        let mut rest = trimmed;
        let mut fixed: i64 = 0;
        while !rest.is_empty() {
            let (count, unit, after) = split_component(rest).ok_or_else(|| wrong(ACCEPTED))?;
            if count <= 0.0 {
                return Err(wrong(
                    "it must be longer than nothing; write a positive number",
                ));
            }
            let Some(micros) = tick(unit) else {
                if rest != trimmed || !after.is_empty() {
                    return Err(wrong(
                        "weeks, months, quarters and years cannot be combined with other units",
                    ));
                }
                let whole = whole_number(count).ok_or_else(|| {
                    wrong("weeks, months, quarters and years come in whole numbers only")
                })?;
                return calendar(unit, whole).ok_or_else(|| wrong(&unknown_unit(unit)));
            };
            let length = count * micros as f64;
            if length >= LONGEST {
                return Err(wrong("it is too long"));
            }
            let length = whole_number(length).ok_or_else(|| {
                wrong("it is no whole number of microseconds, the finest unit that there is")
            })?;
            fixed = fixed
                .checked_add(length)
                .ok_or_else(|| wrong("it is too long"))?;
            rest = after;
        }
        Ok(Frequency::Every(fixed))
    }

    /// The points from `start` to `end`, both included where they are on the grid.
    pub(crate) fn points(self, start: DateTime, end: DateTime) -> Points {
        let next = match self {
            Frequency::Every(_) => Some(start),
            Frequency::Weeks { day, .. } => {
                let days = start.weekday().until(day);
                start.checked_add(i64::from(days).days()).ok()
            }
            Frequency::Months {
                period,
                anchor,
                edge,
                ..
            } => first_on_month(start, period, anchor, edge),
        };
        Points {
            frequency: self,
            next,
            end,
        }
    }

    /// How many points a range has at most; cheap where counting them is not.
    pub(crate) fn estimate(self, start: i64, end: i64) -> u64 {
        let step = match self {
            Frequency::Every(step) => step,
            Frequency::Weeks { count, .. } => count.saturating_mul(7 * DAY),
            Frequency::Months { count, period, .. } => count
                .saturating_mul(i64::from(period))
                .saturating_mul(28 * DAY),
        };
        end.abs_diff(start) / step.unsigned_abs() + 1
    }
}

/// The points of a range, in order.
#[derive(Debug, Clone)]
pub(crate) struct Points {
    frequency: Frequency,
    next: Option<DateTime>,
    end: DateTime,
}

impl Iterator for Points {
    type Item = DateTime;

    fn next(&mut self) -> Option<DateTime> {
        let point = self.next.filter(|point| *point <= self.end)?;
        self.next = match self.frequency {
            Frequency::Every(step) => point.checked_add(SignedDuration::from_micros(step)).ok(),
            Frequency::Weeks { count, .. } => {
                let week = SignedDuration::from_hours(7 * 24);
                let step = i32::try_from(count)
                    .ok()
                    .and_then(|count| week.checked_mul(count));
                step.and_then(|step| point.checked_add(step).ok())
            }
            Frequency::Months {
                count,
                period,
                edge,
                ..
            } => {
                let months = count.saturating_mul(i64::from(period));
                let time = point.time();
                let first = point.date().first_of_month();
                Span::new()
                    .try_months(months)
                    .ok()
                    .and_then(|step| first.checked_add(step).ok())
                    .map(|first| on_edge(first, edge).to_datetime(time))
            }
        };
        Some(point)
    }
}

/// Reads a date, with or without a time of day, as the forms that pandas and ISO 8601 share.
pub(crate) fn parse_date(text: &str) -> Result<DateTime> {
    let trimmed = text.trim();
    let invalid = || Error::InvalidDate {
        text: text.to_owned(),
    };
    let digits = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts: Vec<&str> = trimmed.split('-').collect();
    let date = match parts.as_slice() {
        [year] if digits(year, 4) => format!("{year}-01-01"),
        [year, month] if digits(year, 4) && digits(month, 2) => format!("{year}-{month}-01"),
        _ => trimmed.replacen(' ', "T", 1),
    };
    let parsed = match date.parse::<DateTime>() {
        Ok(parsed) => parsed,
        // "2000-01-01T12" and "2000-01-01T12:30" are times to pandas.
        Err(_) => {
            let (day, time) = date.split_once('T').ok_or_else(invalid)?;
            let day: Date = day.parse().map_err(|_| invalid())?;
            let time = if digits(time, 2) {
                format!("{time}:00")
            } else {
                time.to_owned()
            };
            day.to_datetime(time.parse::<Time>().map_err(|_| invalid())?)
        }
    };
    // What follows a time in UTC or an offset would be lost: a time series has no time zone.
    if trimmed.contains(['Z', 'z', '+', '[']) {
        return Err(invalid());
    }
    // What is finer than a microsecond cannot be kept.
    if parsed.subsec_nanosecond() % 1000 != 0 {
        return Err(invalid());
    }
    Ok(parsed)
}

/// Microseconds since 1970.
pub(crate) fn micros(time: DateTime) -> i64 {
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let span = time.since((Unit::Microsecond, epoch));
    // All of jiff's range is within i64 microseconds, so this cannot fail.
    span.map_or(0, |span| span.get_microseconds())
}

/// Splits `30min1s` into 30, `min` and `1s`; a missing number is one.
fn split_component(text: &str) -> Option<(f64, &str, &str)> {
    let unit_start =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+' || c == ' '))?;
    let unit_end = text[unit_start..]
        .find(|c: char| c.is_ascii_digit() || c == ' ')
        .map_or(text.len(), |length| unit_start + length);
    let number = text[..unit_start].trim();
    let count = if number.is_empty() {
        1.0
    } else {
        number.parse().ok()?
    };
    Some((
        count,
        &text[unit_start..unit_end],
        text[unit_end..].trim_start(),
    ))
}

fn whole_number(value: f64) -> Option<i64> {
    let rounded = value.round();
    let whole =
        (value - rounded).abs() <= 1e-9 * rounded.abs() && (1.0..LONGEST).contains(&rounded);
    whole.then_some(rounded as i64)
}

/// The length of a unit that is always equally long. pandas' older spellings are understood too.
fn tick(unit: &str) -> Option<i64> {
    Some(match unit {
        "us" | "U" => 1,
        "ms" | "L" => 1000,
        "s" | "S" => SECOND,
        "min" | "T" | "t" => 60 * SECOND,
        "h" | "H" => 3600 * SECOND,
        "d" | "D" => DAY,
        _ => return None,
    })
}

fn calendar(unit: &str, count: i64) -> Option<Frequency> {
    let upper = unit.to_ascii_uppercase();
    let (base, anchor) = match upper.split_once('-') {
        Some((base, anchor)) => (base, Some(anchor)),
        None => (upper.as_str(), None),
    };
    if base == "W" {
        let day = match anchor {
            None => Weekday::Sunday,
            Some(anchor) => weekday(anchor)?,
        };
        return Some(Frequency::Weeks { count, day });
    }
    // "ms" is a millisecond and never gets here; a bare "m" could be a minute or a month.
    if unit == "m" {
        return None;
    }
    let (period, edge, default_anchor) = match base {
        "M" | "ME" => (1, Edge::End, 1),
        "MS" => (1, Edge::Start, 1),
        "Q" | "QE" => (3, Edge::End, 12),
        "QS" => (3, Edge::Start, 1),
        "Y" | "YE" | "A" => (12, Edge::End, 12),
        "YS" | "AS" => (12, Edge::Start, 1),
        _ => return None,
    };
    let anchor = match anchor {
        None => default_anchor,
        Some(_) if period == 1 => return None,
        Some(anchor) => month(anchor)?,
    };
    Some(Frequency::Months {
        count,
        period,
        anchor,
        edge,
    })
}

fn unknown_unit(unit: &str) -> String {
    if unit == "m" {
        return "\"m\" could be minutes or months: write \"min\" or \"ME\"".to_owned();
    }
    format!("{unit:?} is no unit; {ACCEPTED}")
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "MON" => Weekday::Monday,
        "TUE" => Weekday::Tuesday,
        "WED" => Weekday::Wednesday,
        "THU" => Weekday::Thursday,
        "FRI" => Weekday::Friday,
        "SAT" => Weekday::Saturday,
        "SUN" => Weekday::Sunday,
        _ => return None,
    })
}

fn month(name: &str) -> Option<i8> {
    const NAMES: [&str; 12] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    NAMES
        .iter()
        .position(|month| *month == name)
        .map(|index| index as i8 + 1)
}

/// The first day of the month-wise grid that is not before the day of `start`; the time of day stays.
fn first_on_month(start: DateTime, period: i8, anchor: i8, edge: Edge) -> Option<DateTime> {
    let mut first = start.date().first_of_month();
    loop {
        let on_grid = (first.month() - anchor).rem_euclid(period) == 0;
        let day = on_edge(first, edge);
        if on_grid && day >= start.date() {
            return Some(day.to_datetime(start.time()));
        }
        first = first.checked_add(1.month()).ok()?;
    }
}

fn on_edge(first_of_month: Date, edge: Edge) -> Date {
    match edge {
        Edge::Start => first_of_month,
        Edge::End => first_of_month.last_of_month(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(start: &str, end: &str, frequency: &str) -> Vec<String> {
        let range = Frequency::parse(frequency)
            .unwrap()
            .points(parse_date(start).unwrap(), parse_date(end).unwrap());
        range.map(|point| point.to_string()).collect()
    }

    #[test]
    fn dates_of_all_forms() {
        for text in [
            "2000",
            "2000-01",
            "2000-01-01",
            "2000-01-01 00:00",
            "2000-01-01T00:00:00",
            " 2000 ",
            "2000-01-01 00",
        ] {
            assert_eq!(
                micros(parse_date(text).unwrap()),
                946_684_800_000_000,
                "{text}"
            );
        }
        for text in [
            "",
            "abc",
            "2000-13",
            "2000-02-30",
            "20000",
            "99",
            "2000-1",
            "2000-01-01T25:00",
            "2000-01-01T00:00Z",
            "-5",
        ] {
            assert!(
                matches!(parse_date(text), Err(Error::InvalidDate { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn frequencies_of_all_forms() {
        let every = |text| Frequency::parse(text).unwrap();
        assert_eq!(every("1s"), Frequency::Every(SECOND));
        assert_eq!(every("s"), every("1S"));
        assert_eq!(every("1h30min"), Frequency::Every(5400 * SECOND));
        assert_eq!(every("1.5h"), every("90min"));
        assert_eq!(
            every("2w"),
            Frequency::Weeks {
                count: 2,
                day: Weekday::Sunday
            }
        );
        assert_eq!(
            every("W-MON"),
            Frequency::Weeks {
                count: 1,
                day: Weekday::Monday
            }
        );
        assert_eq!(every("1M"), every("1ME"));
        assert_eq!(
            every("1MS"),
            Frequency::Months {
                count: 1,
                period: 1,
                anchor: 1,
                edge: Edge::Start
            }
        );
        for text in [
            "",
            "0s",
            "-1s",
            "1",
            "1x",
            "1m",
            "1.5w",
            "1w2d",
            "W-XXX",
            "1e9s",
            "nan s",
            "9e99d",
            "ME-JAN",
            "0.0000001s",
            "1d2w",
            "é",
        ] {
            assert!(
                matches!(Frequency::parse(text), Err(Error::InvalidFrequency { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn weeks_end_on_sundays() {
        let cuts = points("2000", "2005", "2w");
        assert_eq!(cuts.len(), 131);
        assert_eq!(cuts[0], "2000-01-02T00:00:00");
        assert_eq!(cuts[130], "2004-12-26T00:00:00");
        assert_eq!(points("2000", "2001", "4w").len(), 14);
    }

    #[test]
    fn months_keep_their_edges() {
        assert_eq!(
            points("2000-01-31", "2000-04-30", "1ME"),
            [
                "2000-01-31T00:00:00",
                "2000-02-29T00:00:00",
                "2000-03-31T00:00:00",
                "2000-04-30T00:00:00"
            ]
        );
        assert_eq!(
            points("2000-01-02", "2000-04-01", "MS"),
            [
                "2000-02-01T00:00:00",
                "2000-03-01T00:00:00",
                "2000-04-01T00:00:00"
            ]
        );
        assert_eq!(
            points("2000", "2001", "QE"),
            [
                "2000-03-31T00:00:00",
                "2000-06-30T00:00:00",
                "2000-09-30T00:00:00",
                "2000-12-31T00:00:00"
            ]
        );
        assert_eq!(
            points("9999-12-01", "9999-12-31", "1ME"),
            ["9999-12-31T00:00:00"]
        );
    }

    #[test]
    fn steps_beyond_all_time_end_a_range() {
        for frequency in [
            "8000000000000000000us",
            "99999999d",
            "99999999999w",
            "999999999999ME",
        ] {
            assert_eq!(points("2000", "2001", frequency).len(), 1, "{frequency}");
        }
    }
}
