//! Retries of tasks and flows that say none: Prefect's settings.
//!
//! Read once: what a process does shall not change under its runs.

use std::sync::OnceLock;
use std::time::Duration;

use crate::settings;

use super::retry::{LONGEST_LIST, RetryDelay};

/// What the settings say for tasks, or for flows.
#[derive(Debug)]
pub(crate) struct DefaultRetries {
    pub(crate) retries: u32,
    pub(crate) delay: RetryDelay,
}

impl DefaultRetries {
    /// `PREFECT_TASKS_DEFAULT_RETRIES`,
    /// `PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS`.
    pub(crate) fn of_tasks() -> &'static Self {
        static TASKS: OnceLock<DefaultRetries> = OnceLock::new();
        TASKS.get_or_init(|| Self::read("TASK", settings::text))
    }

    /// `PREFECT_FLOWS_DEFAULT_RETRIES`,
    /// `PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS`.
    pub(crate) fn of_flows() -> &'static Self {
        static FLOWS: OnceLock<DefaultRetries> = OnceLock::new();
        FLOWS.get_or_init(|| Self::read("FLOW", settings::text))
    }

    fn read(of: &str, variable: impl Fn(&str) -> Option<String>) -> Self {
        // Prefect knows both names, the newer one first.
        let set = |rest: &str| {
            [
                format!("PREFECT_{of}S_{rest}"),
                format!("PREFECT_{of}_{rest}"),
            ]
            .into_iter()
            .find_map(|name| {
                let value = variable(&name).filter(|value| !value.trim().is_empty())?;
                Some((name, value))
            })
        };
        let retries = set("DEFAULT_RETRIES").and_then(|(name, value)| {
            understood(&name, value.trim().parse().ok(), "a whole number from 0 on")
        });
        let delay = set("DEFAULT_RETRY_DELAY_SECONDS").and_then(|(name, value)| {
            let wanted = "seconds, or a list of them such as `[1, 10]`";
            understood(&name, delay(&value), wanted)
        });
        Self {
            retries: retries.unwrap_or(0),
            delay: delay.unwrap_or_else(|| Duration::ZERO.into()),
        }
    }
}

fn understood<T>(name: &str, value: Option<T>, wanted: &str) -> Option<T> {
    if value.is_none() {
        tracing::warn!("{name} is not {wanted}: it does not count");
    }
    value
}

/// A number of seconds, a JSON list of them, or numbers with commas between.
fn delay(text: &str) -> Option<RetryDelay> {
    let text = text.trim();
    let seconds: Vec<f64> = if text.starts_with('[') {
        serde_json::from_str(text).ok()?
    } else {
        let numbers = text.split(',').map(|number| number.trim().parse());
        numbers.collect::<Result<_, _>>().ok()?
    };
    if seconds.is_empty() || seconds.len() > LONGEST_LIST {
        return None;
    }
    let delays = seconds.into_iter().map(Duration::try_from_secs_f64);
    let delays: Vec<_> = delays.collect::<Result<_, _>>().ok()?;
    Some(delays.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> DefaultRetries {
        DefaultRetries::read("TASK", |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn both_names_are_known_and_the_newer_one_counts() {
        assert_eq!(read(&[]).retries, 0);
        assert_eq!(read(&[("PREFECT_TASK_DEFAULT_RETRIES", "2")]).retries, 2);
        let both = [
            ("PREFECT_TASK_DEFAULT_RETRIES", "2"),
            ("PREFECT_TASKS_DEFAULT_RETRIES", " 3 "),
            ("PREFECT_FLOWS_DEFAULT_RETRIES", "4"),
        ];
        assert_eq!(read(&both).retries, 3);
    }

    #[test]
    fn delays_are_read_as_prefect_reads_them() {
        let before = |text: &str, retry| {
            let variables = [("PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS", text)];
            read(&variables).delay.before(retry).as_secs_f64()
        };
        assert_eq!(before("1.5", 3), 1.5);
        assert_eq!(before("[1, 2.5]", 1), 1.0);
        assert_eq!(before("[1, 2.5]", 9), 2.5);
        assert_eq!(before("1, 10", 2), 10.0);
        // What is none does not count.
        for text in ["", "soon", "-1", "[]", "[1, \"x\"]", "nan", "1e400"] {
            assert_eq!(before(text, 1), 0.0, "{text}");
        }
        assert_eq!(read(&[("PREFECT_TASKS_DEFAULT_RETRIES", "-1")]).retries, 0);
    }
}
