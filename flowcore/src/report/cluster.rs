//! What a cluster executed for a flow run, as one page: which tasks, on which
//! workers, when, and which values moved.
//!
//! Where the facts come from is the bridge's matter. Invariant: a lane has at
//! most [`BARS`] bars, whatever was executed on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::html;
use super::summary::{grouped, short};
use super::text::{Escaped, cut};
use super::timeline::{axis, begin};

/// So many bars a lane has: more are no wider than a pixel.
const BARS: usize = 2_000;

/// What a cluster did for a flow run.
///
/// ```
/// use flowcore::bridge::{ClusterRecord, Execution, Step};
///
/// let mut record = ClusterRecord::new("DaskTaskRunner");
/// record.executions.push(Execution {
///     worker: "tcp://10.0.0.7:4000".to_owned(),
///     task: "inc".to_owned(),
///     name: "inc-1".to_owned(),
///     has_failed: false,
///     steps: vec![Step { source: None, start: 0.5, stop: 0.75 }],
/// });
/// assert!(record.to_html().ends_with("</html>"));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ClusterRecord {
    /// What the page is called.
    pub title: String,
    /// What is to be said beside, such as what is missing and why.
    pub notes: Vec<String>,
    /// How many runs of each task ended in the state of this name.
    pub ends: BTreeMap<(String, &'static str), u64>,
    /// What was executed, in any order.
    pub executions: Vec<Execution>,
}

/// One execution of a run, or of several that travel together.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Where: the worker's address.
    pub worker: String,
    /// The task's name.
    pub task: String,
    /// What was executed.
    pub name: String,
    /// Whether it ended with an error.
    pub has_failed: bool,
    /// What took time.
    pub steps: Vec<Step>,
}

/// Something that took time. Seconds of one clock for the whole record.
#[derive(Clone, Debug)]
pub struct Step {
    /// For a transfer: the worker that a value came from. Else it is the
    /// task's own code.
    pub source: Option<String>,
    /// When it began.
    pub start: f64,
    /// When it ended.
    pub stop: f64,
}

impl Execution {
    fn start(&self) -> f64 {
        let starts = self.steps.iter().map(|step| step.start);
        starts.fold(f64::INFINITY, f64::min)
    }

    fn stop(&self) -> f64 {
        let stops = self.steps.iter().map(|step| step.stop);
        stops.fold(f64::NEG_INFINITY, f64::max)
    }
}

impl Step {
    fn seconds(&self) -> f64 {
        (self.stop - self.start).max(0.0)
    }
}

impl ClusterRecord {
    /// A record of nothing yet.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// One HTML page that needs no network and no other file.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        html::head(&mut page, &self.title);
        let span = Span::of(self);
        self.header(&mut page, span);
        page.push_str("<section><h2>Tasks</h2>");
        self.tasks(&mut page);
        page.push_str("</section><section><h2>Workers</h2><div class=\"scroll\">");
        axis(&mut page, span.seconds);
        self.lanes(&mut page, span);
        page.push_str(
            "</div><p class=\"note\">A lane per task that ran at once on a worker. Thin: values that \
             came from other workers.</p></section><section><h2>Transfers</h2>",
        );
        self.transfers(&mut page);
        page.push_str("</section>");
        html::foot(&mut page);
        page
    }

    fn steps(&self) -> impl Iterator<Item = (&Execution, &Step)> {
        let executions = self.executions.iter();
        executions.flat_map(|execution| execution.steps.iter().map(move |step| (execution, step)))
    }

    fn header(&self, page: &mut String, span: Span) {
        let mut workers: Vec<_> = self.executions.iter().map(|it| &it.worker).collect();
        workers.sort_unstable();
        workers.dedup();
        let computed = self.steps().filter(|(_, step)| step.source.is_none());
        let computed: f64 = computed.map(|(_, step)| step.seconds()).sum();
        let _ = write!(
            page,
            "<header><h1>{}</h1><dl class=\"facts\">",
            Escaped(&cut(&self.title, 120))
        );
        html::facts(
            page,
            [
                ("Took", short(duration(span.seconds))),
                ("Task runs", grouped(self.ends.values().sum())),
                ("Executions", grouped(self.executions.len() as u64)),
                ("Workers", grouped(workers.len() as u64)),
                ("Time in tasks", short(duration(computed))),
            ],
        );
        page.push_str("</dl>");
        for note in &self.notes {
            let _ = write!(page, "<p>{}</p>", Escaped(note));
        }
        page.push_str("</header>");
    }

    fn tasks(&self, page: &mut String) {
        #[derive(Default)]
        struct Task {
            executions: u64,
            failures: u64,
            seconds: f64,
            longest: f64,
            states: Vec<String>,
        }
        let mut tasks: BTreeMap<&str, Task> = BTreeMap::new();
        for ((task, state), count) in &self.ends {
            let states = &mut tasks.entry(task).or_default().states;
            states.push(format!("{} {state}", grouped(*count)));
        }
        for execution in &self.executions {
            let task = tasks.entry(&execution.task).or_default();
            let own = execution.steps.iter().filter(|step| step.source.is_none());
            let seconds: f64 = own.map(Step::seconds).sum();
            task.executions += 1;
            task.failures += u64::from(execution.has_failed);
            task.seconds += seconds;
            task.longest = task.longest.max(seconds);
        }
        let columns = [
            "Task",
            "Runs",
            "#Executions",
            "#Failed",
            "#Mean",
            "#Longest",
            "#Total",
        ];
        let rows = tasks.iter().map(|(name, task)| {
            // Nobody executes 2^52 tasks.
            #[allow(clippy::cast_precision_loss)]
            let mean = task.seconds / task.executions.max(1) as f64;
            [
                cut(name, 80),
                task.states.join(", "),
                grouped(task.executions),
                grouped(task.failures),
                short(duration(mean)),
                short(duration(task.longest)),
                short(duration(task.seconds)),
            ]
        });
        table(page, columns, rows, "No task was executed.");
    }

    fn lanes(&self, page: &mut String, span: Span) {
        let mut workers: BTreeMap<&str, Vec<&Execution>> = BTreeMap::new();
        for execution in &self.executions {
            workers
                .entry(&execution.worker)
                .or_default()
                .push(execution);
        }
        page.push_str("<ol class=\"lanes\">");
        for (worker, executions) in workers {
            for (number, lane) in (1..).zip(packed(executions)) {
                begin(page, 0, "run", worker, &format!("slot {number}"));
                for bar in bars(&lane, span) {
                    bar.write(page, span);
                }
                page.push_str("</span></li>");
            }
        }
        page.push_str("</ol>");
    }

    fn transfers(&self, page: &mut String) {
        let mut ways: BTreeMap<(&str, &str), (u64, f64)> = BTreeMap::new();
        for (execution, step) in self.steps() {
            if let Some(source) = &step.source {
                let way = ways.entry((source, &execution.worker)).or_default();
                way.0 += 1;
                way.1 += step.seconds();
            }
        }
        let rows = ways.iter().map(|((from, to), (count, seconds))| {
            [
                (*from).to_owned(),
                (*to).to_owned(),
                grouped(*count),
                short(duration(*seconds)),
            ]
        });
        let columns = ["From", "To", "#Transfers", "#Time"];
        table(page, columns, rows, "No value moved between workers.");
    }
}

/// A table; columns whose name begins with `#` are numbers.
fn table<const N: usize>(
    page: &mut String,
    columns: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    empty: &str,
) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        let _ = write!(page, "<p class=\"note\">{empty}</p>");
        return;
    }
    let class = |column: &str| {
        if column.starts_with('#') {
            " class=\"number\""
        } else {
            ""
        }
    };
    page.push_str("<div class=\"scroll\"><table><thead><tr>");
    for column in columns {
        let name = column.trim_start_matches('#');
        let _ = write!(page, "<th scope=\"col\"{}>{name}</th>", class(column));
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for (column, text) in columns.iter().zip(&row) {
            let _ = write!(page, "<td{}>{}</td>", class(column), Escaped(text));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>");
}

/// A length of time; clocks of machines may have made it negative.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// The time that the page is about.
#[derive(Clone, Copy)]
struct Span {
    start: f64,
    seconds: f64,
}

impl Span {
    fn of(record: &ClusterRecord) -> Self {
        let times = || record.steps().map(|(_, step)| step);
        let start = times().map(|step| step.start).fold(f64::INFINITY, f64::min);
        let stop = times().map(|step| step.stop).fold(start, f64::max);
        if !start.is_finite() || !stop.is_finite() {
            return Self {
                start: 0.0,
                seconds: 1e-9,
            };
        }
        Self {
            start,
            seconds: (stop - start).max(1e-9),
        }
    }
}

/// A worker's executions in as few lanes as went on at once: a worker may take
/// another thread for each.
fn packed(mut executions: Vec<&Execution>) -> Vec<Vec<&Execution>> {
    executions.sort_by(|a, b| a.start().total_cmp(&b.start()));
    let mut lanes: Vec<(f64, Vec<&Execution>)> = Vec::new();
    for execution in executions {
        match lanes.iter_mut().find(|(end, _)| *end <= execution.start()) {
            Some((end, lane)) => {
                *end = execution.stop();
                lane.push(execution);
            }
            None => lanes.push((execution.stop(), vec![execution])),
        }
    }
    lanes.into_iter().map(|(_, lane)| lane).collect()
}

/// A bar of a lane, or several that would touch.
struct Bar<'a> {
    class: &'static str,
    name: &'a str,
    others: usize,
    start: f64,
    stop: f64,
}

/// The bars of a lane. If there are too many, those that would touch are one.
fn bars<'a>(executions: &[&'a Execution], span: Span) -> Vec<Bar<'a>> {
    let mut bars: Vec<Bar<'a>> = Vec::new();
    for execution in executions {
        for step in &execution.steps {
            bars.push(Bar {
                class: match (&step.source, execution.has_failed) {
                    (Some(_), _) => "transfer",
                    (None, true) => "failed",
                    (None, false) => "completed",
                },
                name: &execution.name,
                others: 0,
                start: step.start,
                stop: step.stop,
            });
        }
    }
    bars.sort_by(|a, b| a.start.total_cmp(&b.start));
    if bars.len() <= BARS {
        return bars;
    }
    // Failures stay bars of their own only where there is room for them.
    let pixel = span.seconds * 2.0 / 2_000.0;
    let mut joined: Vec<Bar<'a>> = Vec::new();
    for bar in bars {
        match joined.last_mut() {
            Some(last) if bar.start - last.start < pixel => {
                last.others += 1 + bar.others;
                last.stop = last.stop.max(bar.stop.min(last.start + pixel));
                if bar.class == "failed" {
                    last.class = bar.class;
                }
            }
            _ => joined.push(bar),
        }
    }
    joined
}

impl Bar<'_> {
    fn write(&self, page: &mut String, span: Span) {
        let others = match self.others {
            0 => String::new(),
            others => format!(" and {} more", grouped(others as u64)),
        };
        let _ = write!(
            page,
            "<i class=\"bar {}\" style=\"left:{:.3}%;width:{:.3}%\" title=\"{}{others} · {}\"></i>",
            self.class,
            (self.start - span.start) / span.seconds * 100.0,
            (self.stop - self.start).max(0.0) / span.seconds * 100.0,
            Escaped(self.name),
            short(duration(self.stop - self.start)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution(at: f64) -> Execution {
        Execution {
            worker: "tcp://<a>:1".to_owned(),
            task: "inc".to_owned(),
            name: "inc-1".to_owned(),
            has_failed: false,
            steps: vec![Step {
                source: None,
                start: at,
                stop: at + 0.5,
            }],
        }
    }

    #[test]
    fn a_page_says_what_ran_where_and_is_whole_without_anything() {
        let mut record = ClusterRecord::new("Nothing");
        assert!(record.to_html().contains("No task was executed."));

        record.executions.push(execution(10.0));
        record.executions[0].steps.push(Step {
            source: Some("tcp://b:2".to_owned()),
            start: 9.0,
            stop: 10.0,
        });
        record.ends.insert(("inc".to_owned(), "Completed"), 1);
        let page = record.to_html();
        assert!(page.contains("tcp://&lt;a&gt;:1"), "{page}");
        assert!(page.contains("left:66.667%;width:33.333%"), "{page}");
        assert!(page.contains("<td>tcp://b:2</td>"), "{page}");
        assert!(
            page.contains("1 Completed") && page.contains("1.50 s"),
            "{page}"
        );
        for elsewhere in ["http://", "https://"] {
            assert!(!page.contains(elsewhere), "nothing comes from elsewhere");
        }
    }

    #[test]
    fn a_lane_has_a_limited_number_of_bars() {
        let mut record = ClusterRecord::new("Many");
        for at in 0..50_000_u32 {
            record.executions.push(execution(f64::from(at)));
        }
        let page = record.to_html();
        let bars = page.matches("class=\"bar ").count();
        assert!((500..=BARS).contains(&bars), "{bars} bars");
        assert!(page.contains("50,000"), "all are counted");
    }
}
