//! A record over time: a lane per run, and per map or task of many runs one
//! lane with a band as high as runs ran at once.
//!
//! Invariant: at most [`LANES`] lanes, and a band has at most as many points
//! as its profile has bins.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::profile::Profile;
use super::record::{FlowRecord, Kind, Node, Tally};
use super::summary::{grouped, short};
use super::svg::class;
use super::text::{Escaped, cut};
use crate::clock::Timestamp;
use crate::state::StateName;

/// So many lanes are drawn in all.
const LANES: usize = 500;
/// So many single runs of one task have lanes of their own, in a flow run.
const SINGLE: usize = 12;

/// The time that a report is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    start: Timestamp,
    seconds: f64,
}

impl Span {
    pub(super) fn of(flows: &[FlowRecord]) -> Self {
        let start = flows
            .first()
            .and_then(|flow| flow.states.first())
            .map_or(Timestamp::NONE, |state| state.at);
        let flow_ends = flows.iter().flat_map(|flow| &flow.states);
        let run_ends = flows.iter().flat_map(|flow| &flow.nodes).map(end_of);
        let end = flow_ends
            .map(|state| state.at)
            .chain(run_ends)
            .max()
            .unwrap_or(start);
        Self {
            start,
            seconds: end.duration_since(start).as_secs_f64().max(1e-9),
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    pub(super) fn length(&self) -> std::time::Duration {
        std::time::Duration::from_secs_f64(self.seconds)
    }

    /// In percent of the width.
    fn at(&self, time: Timestamp) -> f64 {
        time.duration_since(self.start).as_secs_f64() / self.seconds * 100.0
    }
}

fn end_of(node: &Node) -> Timestamp {
    match (&node.kind, &node.tally.profile) {
        (Kind::Run(run), _) => run.states.last().map_or(node.submitted, |state| state.at),
        (_, Some(profile)) => profile.end(),
        _ => node.submitted,
    }
}

/// The lanes of all flow runs.
pub(super) fn lanes(html: &mut String, flows: &[FlowRecord], span: Span) {
    html.push_str("<ol class=\"lanes\">");
    let mut left = LANES;
    let mut missing = 0;
    for (at, flow) in flows.iter().enumerate() {
        if left == 0 {
            missing += flow.nodes.len() + 1;
            continue;
        }
        let depth = depth(flows, at);
        if flow.flow.is_some() {
            left -= 1;
            flow_lane(html, flow, depth, span);
        }
        for lane in tasks(flow) {
            if left == 0 {
                missing += 1;
                continue;
            }
            left -= 1;
            match lane {
                Lane::One(node) => node_lane(html, node, depth + 1, span),
                Lane::Many(nodes) => many_lane(html, &nodes, depth + 1, span),
            }
        }
    }
    html.push_str("</ol>");
    if missing > 0 {
        let _ = write!(
            html,
            "<p class=\"note\">{} more lanes are not drawn.</p>",
            grouped(missing as u64)
        );
    }
}

fn depth(flows: &[FlowRecord], at: usize) -> usize {
    let parents = std::iter::successors(flows[at].parent, |parent| flows[parent.flow].parent);
    parents.count().min(6)
}

enum Lane<'a> {
    One(&'a Node),
    Many(Vec<&'a Node>),
}

/// A flow run's lanes, in the order of submission.
fn tasks(flow: &FlowRecord) -> Vec<Lane<'_>> {
    let mut counts: HashMap<_, usize> = HashMap::new();
    for node in &flow.nodes {
        *counts.entry(single(node)).or_default() += 1;
    }
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    let mut together: HashMap<_, usize> = HashMap::new();
    for node in &flow.nodes {
        let task = single(node);
        if task.is_none() || counts[&task] <= SINGLE {
            lanes.push(Lane::One(node));
            continue;
        }
        let lane = *together.entry(task).or_insert_with(|| {
            lanes.push(Lane::Many(Vec::new()));
            lanes.len() - 1
        });
        if let Lane::Many(nodes) = &mut lanes[lane] {
            nodes.push(node);
        }
    }
    lanes
}

/// The task of a single run.
fn single(node: &Node) -> Option<(&str, &str)> {
    matches!(node.kind, Kind::Run(_)).then_some((node.task.key, &node.name))
}

fn flow_lane(html: &mut String, flow: &FlowRecord, depth: usize, span: Span) {
    let (Some(first), Some(last)) = (flow.states.first(), flow.states.last()) else {
        return;
    };
    begin(
        html,
        depth,
        "flow",
        flow.flow.as_deref().unwrap_or_default(),
        &flow.run_name,
    );
    bar(
        html,
        Some(last.name),
        first.at,
        last.at,
        span,
        &last.to_string(),
    );
    html.push_str("</span></li>");
}

fn node_lane(html: &mut String, node: &Node, depth: usize, span: Span) {
    match &node.kind {
        Kind::Run(run) => {
            let Some(last) = run.states.last() else {
                return;
            };
            begin(html, depth, "run", &node.name, &run.name);
            let (started, ended) = run.times();
            let from = if started.is_some() {
                started
            } else {
                node.submitted
            };
            if started.is_some() && started > node.submitted {
                bar(html, None, node.submitted, started, span, "Pending");
            }
            let to = if ended.is_some() { ended } else { from };
            bar(html, Some(last.name), from, to, span, &last.to_string());
            for attempt in run.states.iter().filter(|state| state.attempt > 1) {
                if attempt.name == StateName::Retrying {
                    let _ = write!(
                        html,
                        "<i class=\"tick\" style=\"left:{:.3}%\" title=\"Attempt {}\"></i>",
                        span.at(attempt.at),
                        attempt.attempt
                    );
                }
            }
            html.push_str("</span></li>");
        }
        Kind::Map { .. } | Kind::Many => {
            let runs = node.tally.runs() + node.unsettled();
            let unit = if matches!(node.kind, Kind::Many) {
                "runs"
            } else {
                "rows"
            };
            begin(
                html,
                depth,
                "map",
                &node.name,
                &format!("{} {unit}", grouped(runs)),
            );
            band(html, &node.tally, node.tally.profile.as_ref(), span);
            html.push_str("</span></li>");
        }
    }
}

fn many_lane(html: &mut String, nodes: &[&Node], depth: usize, span: Span) {
    let mut tally = Tally::default();
    let mut times: Vec<_> = Vec::new();
    for node in nodes {
        tally.merge(&node.tally);
        if let Kind::Run(run) = &node.kind {
            times.push(run.times());
        }
    }
    times.retain(|(started, ended)| started.is_some() && ended.is_some());
    let start = times.iter().map(|(started, _)| *started).min();
    let profile = start.map(|start| {
        let mut profile = Profile::new(start);
        for (started, ended) in times {
            profile.add(started, ended);
        }
        profile
    });
    let detail = format!("{} runs", grouped(nodes.len() as u64));
    begin(html, depth, "map", &nodes[0].name, &detail);
    band(html, &tally, profile.as_ref(), span);
    html.push_str("</span></li>");
}

// Writing to a `String` cannot fail, here and below.
pub(super) fn begin(html: &mut String, depth: usize, kind: &str, name: &str, detail: &str) {
    let _ = write!(
        html,
        "<li class=\"{kind}\"><span class=\"who\" style=\"padding-left:{}px\"><b>{}</b> <small>{}</small></span><span class=\"track\">",
        depth * 14,
        Escaped(&cut(name, 60)),
        Escaped(&cut(detail, 60)),
    );
}

fn bar(
    html: &mut String,
    state: Option<StateName>,
    from: Timestamp,
    to: Timestamp,
    span: Span,
    says: &str,
) {
    let (left, right) = (span.at(from), span.at(to));
    let _ = write!(
        html,
        "<i class=\"bar {}\" style=\"left:{left:.3}%;width:{:.3}%\" title=\"{} · {}\"></i>",
        class(state),
        right - left,
        Escaped(says),
        short(to.duration_since(from)),
    );
}

/// How many ran at once, as an area.
fn band(html: &mut String, tally: &Tally, profile: Option<&Profile>, span: Span) {
    let ends: Vec<_> = tally.ends().collect();
    let worst = ends
        .iter()
        .map(|(name, _)| *name)
        .find(|name| !name.is_completed());
    let state = worst.or(ends.first().map(|(name, _)| *name));
    let Some(profile) = profile else {
        html.push_str("<small class=\"idle\">never ran</small>");
        return;
    };
    let most = profile.levels().fold(0.0, f64::max).max(1e-9);
    let left = span.at(profile.start());
    let width = span.at(profile.end()) - left;
    let says: Vec<_> = ends
        .iter()
        .map(|(name, count)| format!("{} {name}", grouped(*count)))
        .collect();
    let bins = profile.levels().count();
    let _ = write!(
        html,
        "<svg class=\"band {}\" style=\"left:{left:.3}%;width:{width:.3}%\" viewBox=\"0 0 {bins} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><title>{} · up to {most:.1} at once · {}</title><path d=\"M0 100",
        class(state),
        says.join(", "),
        says.join(", "),
        short(profile.end().duration_since(profile.start())),
    );
    for (bin, level) in profile.levels().enumerate() {
        let y = 100.0 - level / most * 96.0;
        let _ = write!(html, "L{bin} {y:.0}H{}", bin + 1);
    }
    let _ = write!(html, "V100Z\"/></svg>");
}

/// Where the axis has marks: at round times.
pub(super) fn axis(html: &mut String, seconds: f64) {
    let rough = seconds / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    html.push_str("<div class=\"axis\" aria-hidden=\"true\"><span class=\"who\"></span><span class=\"track\">");
    let mut mark = 0.0;
    while mark <= seconds * 1.000_001 {
        let time = std::time::Duration::from_secs_f64(mark);
        let _ = write!(
            html,
            "<span style=\"left:{:.3}%\">{}</span>",
            mark / seconds * 100.0,
            short(time)
        );
        mark += step;
    }
    html.push_str("</span></div>");
}
