//! A report as one page that needs nothing else: no script, no font, no
//! picture from elsewhere.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::record::{FlowRecord, Kind, Node};
use super::summary::{Summary, TaskSummary, grouped, short};
use super::svg::{self, class};
use super::text::{Escaped, cut};
use super::timeline::{Span, axis, lanes};
use crate::state::State;

/// So many runs that did not complete are listed.
const LISTED: usize = 100;

// Writing to a `String` cannot fail, here and below.
pub(super) fn page(state: &State, flows: &[FlowRecord]) -> String {
    let mut html = String::new();
    let first = flows.first();
    let name = first.and_then(|flow| flow.flow.as_deref());
    let title = name.unwrap_or("A task outside of flows");
    let run_name = first.map_or("", |flow| flow.run_name.as_str());
    head(&mut html, &format!("{title} {run_name}"));
    let summary = Summary::of(flows);
    let span = Span::of(flows);
    header(&mut html, state, (title, run_name), flows, &summary, span);
    html.push_str("<section><h2>Tasks</h2>");
    tasks(&mut html, &summary);
    html.push_str("</section>");
    failures(&mut html, flows);
    html.push_str("<section><h2>Timeline</h2><div class=\"scroll\">");
    axis(&mut html, span.seconds());
    lanes(&mut html, flows, span);
    html.push_str("</div></section><section><h2>Graph</h2><div class=\"scroll\">");
    html.push_str(&svg::element(flows));
    html.push_str(
        "</div><p class=\"note\">Solid: a value. Dashed: order only. Dotted: a task called the \
         flow. Stacked: many runs.</p></section>",
    );
    foot(&mut html);
    html
}

/// The page up to its first part.
pub(super) fn head(html: &mut String, title: &str) {
    let _ = write!(
        html,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"><title>{}</title><style>{}{}</style></head><body><main>",
        Escaped(title),
        include_str!("page.css"),
        svg::STYLE,
    );
}

/// What comes after the last part.
pub(super) fn foot(html: &mut String) {
    let _ = write!(
        html,
        "<footer>Made by flowcore {}.</footer></main></body></html>",
        env!("CARGO_PKG_VERSION")
    );
}

/// The figures of a header.
pub(super) fn facts<const N: usize>(html: &mut String, facts: [(&str, String); N]) {
    for (what, value) in facts {
        let _ = write!(html, "<div><dt>{what}</dt><dd>{value}</dd></div>");
    }
}

fn header(
    html: &mut String,
    state: &State,
    (title, run_name): (&str, &str),
    flows: &[FlowRecord],
    summary: &Summary,
    span: Span,
) {
    let _ = write!(
        html,
        "<header><h1>{} <span class=\"badge {}\">{}</span></h1><p>{}</p><dl class=\"facts\">",
        Escaped(&cut(title, 120)),
        class(Some(state.name())),
        state.name(),
        Escaped(run_name),
    );
    let runs = summary.tasks().iter().map(TaskSummary::runs).sum();
    let retries = summary.tasks().iter().map(TaskSummary::retries).sum();
    let began = flows
        .first()
        .and_then(|flow| flow.states.first())
        .map(|state| {
            state
                .timestamp()
                .strftime("%Y-%m-%d %H:%M:%S UTC")
                .to_string()
        });
    let facts = [
        ("Began", began.unwrap_or_else(|| "–".to_owned())),
        ("Took", short(span.length())),
        ("Task runs", grouped(runs)),
        ("Flow runs", grouped(flows.len() as u64)),
        ("Retries", grouped(retries)),
    ];
    self::facts(html, facts);
    html.push_str("</dl>");
    if let Some(message) = state.message() {
        let _ = write!(html, "<p>{}</p>", Escaped(message));
    }
    html.push_str("</header>");
}

fn tasks(html: &mut String, summary: &Summary) {
    if summary.tasks().is_empty() {
        html.push_str("<p class=\"note\">No task was called.</p>");
        return;
    }
    html.push_str(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Task</th><th scope=\"col\" \
         class=\"number\">Runs</th><th scope=\"col\">States</th><th scope=\"col\" \
         class=\"number\">Mean</th><th scope=\"col\" class=\"number\">p95</th><th scope=\"col\" \
         class=\"number\">Total</th><th scope=\"col\" \
         class=\"number\">Retries</th></tr></thead><tbody>",
    );
    for task in summary.tasks() {
        let dash = || "–".to_owned();
        let _ = write!(
            html,
            "<tr><td title=\"{}\"><b>{}</b></td><td class=\"number\">{}</td><td>{}",
            Escaped(task.key()),
            Escaped(&cut(task.name(), 80)),
            grouped(task.runs()),
            task.states(),
        );
        html.push_str("<span class=\"share\" aria-hidden=\"true\">");
        for (name, share) in task.shares() {
            let _ = write!(
                html,
                "<i class=\"{}\" style=\"width:{share:.2}%\"></i>",
                class(Some(name))
            );
        }
        let _ = write!(
            html,
            "</span></td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            task.mean().map_or_else(dash, short),
            task.p95().map_or_else(dash, short),
            short(task.total()),
            grouped(task.retries()),
        );
    }
    html.push_str("</tbody></table></div>");
}

/// What the runs say that did not complete: what runs of one task say in the
/// same words is one row.
fn failures(html: &mut String, flows: &[FlowRecord]) {
    let mut rows: Vec<(String, &str, usize)> = Vec::new();
    let mut known: HashMap<(&str, &str), usize> = HashMap::new();
    for node in flows.iter().flat_map(|flow| &flow.nodes) {
        for (row, message) in &node.tally.messages {
            let at = *known.entry((&node.name, message)).or_insert(rows.len());
            match rows.get_mut(at) {
                Some((_, _, count)) => *count += 1,
                None => rows.push((name_of(node, *row), message, 1)),
            }
        }
    }
    if rows.is_empty() {
        return;
    }
    html.push_str(
        "<section><h2>What did not complete</h2><div class=\"scroll\"><table><thead><tr><th \
         scope=\"col\">Run</th><th scope=\"col\">Message</th></tr></thead><tbody>",
    );
    for (name, message, count) in rows.iter().take(LISTED) {
        let _ = write!(html, "<tr><td>{}", Escaped(&cut(name, 80)));
        if *count > 1 {
            let _ = write!(html, " <small>and others</small>");
        }
        let _ = write!(
            html,
            "</td><td class=\"message\">{}</td></tr>",
            Escaped(message)
        );
    }
    html.push_str("</tbody></table></div></section>");
}

fn name_of(node: &Node, row: Option<u32>) -> String {
    match (&node.kind, row) {
        (Kind::Run(run), _) => run.name.clone(),
        (Kind::Map { rows, .. }, Some(row)) => {
            let run = rows.get(row as usize);
            let name = run.map_or(&*node.name, |run| &run.name);
            format!("{name} (row {row})")
        }
        _ => node.name.to_string(),
    }
}
