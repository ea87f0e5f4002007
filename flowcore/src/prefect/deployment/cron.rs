//! Cron expressions of five fields, as Prefect's servers read them with
//! croniter: what those refuse is told here, with the field that is wrong.

use super::error::DeploymentError;

/// What a field can hold.
struct Field {
    name: &'static str,
    numbers: (u32, u32),
    /// Names of its numbers, from this one on.
    names: &'static [&'static str],
    first_name: u32,
}

const FIELDS: [Field; 5] = [
    Field::of("minute", 0, 59),
    Field::of("hour", 0, 23),
    Field::of("day", 1, 31),
    Field {
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
        first_name: 1,
        ..Field::of("month", 1, 12)
    },
    // Sunday is both 0 and 7.
    Field {
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
        ..Field::of("weekday", 0, 7)
    },
];

/// Whole expressions by name.
const NAMED: [&str; 7] = [
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
];

/// What is wrong with an expression.
pub(super) fn check_cron(expression: &str) -> Result<(), DeploymentError> {
    check(expression).map_err(|problem| DeploymentError::Cron {
        expression: expression.to_owned(),
        problem,
    })
}

fn check(expression: &str) -> Result<(), String> {
    let lower = expression.to_ascii_lowercase();
    if NAMED.contains(&lower.as_str()) {
        return Ok(());
    }
    let fields: Vec<_> = lower.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(match fields.len() {
            1 => "it has one field".to_owned(),
            count => format!("it has {count} fields"),
        });
    }
    for (field, text) in FIELDS.iter().zip(fields) {
        for item in text.split(',') {
            if !field.takes(item) {
                return Err(field.problem(item));
            }
        }
    }
    Ok(())
}

impl Field {
    const fn of(name: &'static str, first: u32, last: u32) -> Self {
        Self {
            name,
            numbers: (first, last),
            names: &[],
            first_name: 0,
        }
    }

    fn takes(&self, item: &str) -> bool {
        let is_day = self.name == "day";
        let is_weekday = self.name == "weekday";
        // The last day of a month, the last or second Monday of it.
        if is_day && item == "l" {
            return true;
        }
        if is_weekday {
            if let Some(day) = item.strip_prefix('l') {
                return self.number(day).is_some();
            }
            if let Some((day, nth)) = item.split_once('#') {
                let is_nth = matches!(nth, "1" | "2" | "3" | "4" | "5");
                return is_nth && self.number(day).is_some();
            }
        }
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        if !step.is_none_or(|step| matches!(digits(step), Some(1..))) {
            return false;
        }
        if range == "*" || (range == "?" && (is_day || is_weekday)) {
            return true;
        }
        // One that ends before it begins goes on over the end, as in `fri-mon`.
        let mut ends = range.splitn(2, '-');
        ends.all(|end| self.number(end).is_some())
    }

    fn number(&self, text: &str) -> Option<u32> {
        let mut names = self.names.iter();
        if let Some(at) = names.position(|name| *name == text) {
            return u32::try_from(at).ok().map(|at| at + self.first_name);
        }
        let (first, last) = self.numbers;
        digits(text).filter(|number| (first..=last).contains(number))
    }

    fn problem(&self, item: &str) -> String {
        // They would name another time on each server.
        if item == "h" || item == "r" {
            return "random and hashed fields are not possible".to_owned();
        }
        let Self { name, numbers, .. } = self;
        let (first, last) = numbers;
        format!("`{item}` is no {name}, which is from {first} to {last}")
    }
}

/// A number without a sign.
fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
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
            "5 4 * * SUN",
            "0 0 L * *",
            "@daily",
            "5/15 */61 * * 7",
            "59-0 * * dec-feb fri-mon",
            "0 6 ? * mon#2,L5",
            " 0\t06 * * 0-7 ",
        ] {
            check_cron(expression).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn other_expressions_are_told_with_the_cure() {
        for (expression, part) in [
            ("", "0 fields"),
            ("0 25 * * *", "`25` is no hour, which is from 0 to 23"),
            ("* * * *", "4 fields"),
            ("0 0 6 * * *", "6 fields"),
            ("hourly", "one field"),
            (" @daily", "one field"),
            ("60 * * * *", "no minute"),
            ("1,,2 * * * *", "`` is no minute"),
            ("*/0 * * * *", "`*/0` is no minute"),
            ("/5 * * * *", "`/5` is no minute"),
            ("1-2-3 * * * *", "`1-2-3` is no minute"),
            ("+1 * * * *", "`+1` is no minute"),
            ("? * * * *", "`?` is no minute"),
            ("H * * * *", "random and hashed"),
            ("0 6 0 * *", "`0` is no day, which"),
            ("0 6 1W * *", "`1w` is no day"),
            ("0 6 L-1 * *", "`l-1` is no day"),
            ("0 6 * 13 *", "no month"),
            ("0 6 * * monday-", "`monday-` is no weekday"),
            ("0 6 * * 5L", "`5l` is no weekday"),
            ("0 6 * * 1#6", "`1#6` is no weekday"),
            ("0 6 * * 1-5#2", "`1-5#2` is no weekday"),
            ("@often", "one field"),
        ] {
            let error = check_cron(expression).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{expression}` is no cron")),
                "{error}"
            );
            assert!(error.contains("five fields"), "{error}");
            assert!(error.contains(part), "{expression}: {error}");
        }
    }
}
