//! Durations as people write them: `"30s"`, `"1m 30s"`, `"500ms"`, `"1.5h"`.

use std::time::Duration;

use crate::suggestion::did_you_mean;

const NANOSECOND: u128 = 1;
const MICROSECOND: u128 = 1_000;
const MILLISECOND: u128 = 1_000_000;
const SECOND: u128 = 1_000_000_000;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;
const DAY: u128 = 24 * HOUR;
const WEEK: u128 = 7 * DAY;

/// Every unit's name with its length in nanoseconds. Months and years are left
/// out on purpose: they have no fixed length.
const UNITS: [(&str, u128); 34] = [
    ("ns", NANOSECOND),
    ("nsec", NANOSECOND),
    ("nanosecond", NANOSECOND),
    ("nanoseconds", NANOSECOND),
    ("us", MICROSECOND),
    ("µs", MICROSECOND),
    ("usec", MICROSECOND),
    ("microsecond", MICROSECOND),
    ("microseconds", MICROSECOND),
    ("ms", MILLISECOND),
    ("msec", MILLISECOND),
    ("millisecond", MILLISECOND),
    ("milliseconds", MILLISECOND),
    ("s", SECOND),
    ("sec", SECOND),
    ("secs", SECOND),
    ("second", SECOND),
    ("seconds", SECOND),
    ("m", MINUTE),
    ("min", MINUTE),
    ("mins", MINUTE),
    ("minute", MINUTE),
    ("minutes", MINUTE),
    ("h", HOUR),
    ("hr", HOUR),
    ("hrs", HOUR),
    ("hour", HOUR),
    ("hours", HOUR),
    ("d", DAY),
    ("day", DAY),
    ("days", DAY),
    ("w", WEEK),
    ("week", WEEK),
    ("weeks", WEEK),
];

/// Reads a duration, or says what is wrong with the text.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("a duration is missing; write for example `\"30s\"` or `\"1m 30s\"`".into());
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest)?;
        nanoseconds = nanoseconds
            .checked_add(part)
            .ok_or_else(|| too_long(text))?;
        rest = after.trim_start();
    }
    duration(nanoseconds).ok_or_else(|| too_long(text))
}

/// Reads a number of seconds, Prefect's habit: `timeout = 30`, `retry_delay = 0.5`.
pub(crate) fn parse_seconds(digits: &str) -> Result<Duration, String> {
    scaled(digits, SECOND)
        .and_then(duration)
        .ok_or_else(|| format!("`{digits}` is not a number of seconds that a duration can hold"))
}

/// One number with its unit, in nanoseconds, and the text after it.
fn parse_part(text: &str) -> Result<(u128, &str), String> {
    if text.starts_with('-') {
        return Err("a duration cannot be negative".into());
    }
    let number_ends = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != '_')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(number_ends);
    let rest = rest.trim_start();
    let unit_ends = rest
        .find(|letter: char| !letter.is_alphabetic())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_ends);
    if number.is_empty() {
        let found = if unit.is_empty() { text } else { unit };
        return Err(format!(
            "expected a number before `{found}`; write for example `\"30s\"` or `\"1m 30s\"`"
        ));
    }
    if unit.is_empty() {
        return Err(format!(
            "`{number}` has no unit; write for example `\"{number}s\"`, with one of `ms`, `s`, `m`, `h`, `d`"
        ));
    }
    let scale = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, scale)| *scale)
        .ok_or_else(|| {
            let near = did_you_mean(unit, UNITS.iter().map(|(name, _)| *name));
            format!("unknown unit `{unit}`{near}; units are `ms`, `s`, `m`, `h`, `d`, `w`")
        })?;
    let part = scaled(number, scale)
        .ok_or_else(|| format!("`{number}` is not a number that a duration can hold"))?;
    Ok((part, rest))
}

/// A decimal number times a scale, exactly: floats would make `"0.1s"` a
/// nanosecond too long.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut result = whole.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.chars() {
        place /= 10;
        result = result.checked_add(place.checked_mul(u128::from(digit.to_digit(10)?))?)?;
    }
    Some(result)
}

fn duration(nanoseconds: u128) -> Option<Duration> {
    let seconds = u64::try_from(nanoseconds / SECOND).ok()?;
    let rest = u32::try_from(nanoseconds % SECOND).ok()?;
    Some(Duration::new(seconds, rest))
}

fn too_long(text: &str) -> String {
    format!("`{text}` is longer than a duration can be")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings() {
        for (text, expected) in [
            ("30s", Duration::from_secs(30)),
            ("1m 30s", Duration::from_secs(90)),
            ("1m30s", Duration::from_secs(90)),
            ("500ms", Duration::from_millis(500)),
            ("0.1s", Duration::from_millis(100)),
            (".5s", Duration::from_millis(500)),
            ("1.5h", Duration::from_secs(5_400)),
            (" 2 hours ", Duration::from_secs(7_200)),
            ("1d 2h 3m 4s", Duration::from_secs(93_784)),
            ("1w", Duration::from_secs(604_800)),
            ("1_000us", Duration::from_millis(1)),
            ("10µs", Duration::from_micros(10)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_name_the_cure() {
        for (text, part) in [
            ("", "a duration is missing"),
            ("30", "`30` has no unit; write for example `\"30s\"`"),
            (
                "30 sceonds",
                "unknown unit `sceonds`; did you mean `seconds`?",
            ),
            ("2 months", "unknown unit `months`"),
            ("soon", "expected a number before `soon`"),
            ("-5s", "cannot be negative"),
            ("1.2.3s", "`1.2.3` is not a number"),
            ("1s,", "expected a number before `,`"),
            ("99999999999999999999999w", "longer than"),
            (
                "340282366920938463463374607431768211455w",
                "is not a number",
            ),
        ] {
            let message = parse(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn seconds_as_numbers() {
        assert_eq!(parse_seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_seconds("1."), Ok(Duration::from_secs(1)));
        assert!(parse_seconds("1e3").is_err());
    }
}
