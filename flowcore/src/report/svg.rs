//! A record's graph as SVG: in a page, whose style it takes, or by itself.

use std::fmt::Write as _;

use super::graph::{Cluster, Drawn, LinkKind, Member};
use super::layout::{Laid, lay_out};
use super::record::FlowRecord;
use super::text::{Escaped, cut};
use crate::state::StateName;

/// Colours and shapes of what is drawn, light and dark.
pub(super) const STYLE: &str = include_str!("graph.css");

/// A document of its own.
pub(super) fn document(flows: &[FlowRecord]) -> String {
    drawing(flows, &format!("<style>{STYLE}</style>"))
}

/// An element for a page that has the style.
pub(super) fn element(flows: &[FlowRecord]) -> String {
    drawing(flows, "")
}

fn drawing(flows: &[FlowRecord], style: &str) -> String {
    let clusters = Cluster::all(flows);
    let laid: Vec<_> = clusters.iter().map(lay_out).collect();
    let width = laid.iter().map(|laid| laid.size.0).fold(100.0, f64::max);
    let height: f64 = laid.iter().map(|laid| laid.size.1 + 16.0).sum();
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="img" aria-label="Graph of runs" viewBox="-8 -8 {:.0} {:.0}" width="{:.0}" height="{:.0}">{style}<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="head" d="M0 0.5 8 4 0 7.5z"/></marker></defs>"#,
        width + 16.0,
        height + 16.0,
        width + 16.0,
        height + 16.0,
    );
    let mut y = 0.0;
    for laid in &laid {
        cluster(&mut svg, laid, (0.0, y));
        y += laid.size.1 + 16.0;
    }
    svg.push_str("</svg>");
    svg
}

// Writing to a `String` cannot fail, here and below.
fn cluster(svg: &mut String, laid: &Laid<'_>, (x, y): (f64, f64)) {
    let (width, height) = laid.size;
    let title = &laid.cluster.title;
    let _ = write!(
        svg,
        r#"<g transform="translate({x:.1} {y:.1})"><rect class="cluster {}" width="{width:.1}" height="{height:.1}" rx="12"/><text class="cluster-title" x="18" y="26">{}</text>"#,
        class(laid.cluster.state),
        Escaped(&cut(title, 80)),
    );
    for (link, points) in &laid.edges {
        let kind = match link.kind {
            LinkKind::Value => "edge",
            LinkKind::Order => "edge order",
            LinkKind::Call => "edge call",
        };
        let _ = write!(
            svg,
            r#"<path class="{kind}" marker-end="url(#head)" d="{}"/>"#,
            curve(points)
        );
    }
    for (place, member) in laid.members.iter().zip(&laid.cluster.members) {
        match (member, &place.inner) {
            (Member::Node(drawn), _) => node(svg, drawn, place.at, place.size),
            (Member::Cluster(_), Some(inner)) => cluster(svg, inner, place.at),
            (Member::Cluster(_), None) => {}
        }
    }
    svg.push_str("</g>");
}

fn node(svg: &mut String, drawn: &Drawn, (x, y): (f64, f64), (width, height): (f64, f64)) {
    let class = class(drawn.state);
    let _ = write!(
        svg,
        r#"<g class="node {class}" transform="translate({x:.1} {y:.1})"><title>{} {}: {}</title>"#,
        Escaped(&drawn.label),
        Escaped(&drawn.detail),
        drawn.state.map_or("several states", |state| state.as_str()),
    );
    if drawn.is_map {
        let _ = write!(
            svg,
            r#"<rect class="behind" x="6" y="-6" width="{width:.1}" height="{height:.1}" rx="8"/><rect class="behind" x="3" y="-3" width="{width:.1}" height="{height:.1}" rx="8"/>"#,
        );
    }
    let label_y = if drawn.detail.is_empty() { 28 } else { 20 };
    let _ = write!(
        svg,
        r#"<rect width="{width:.1}" height="{height:.1}" rx="8"/><path class="mark" d="M0 8a8 8 0 0 1 6 -7.75V{height:.0}a8 8 0 0 1 -6 -8z"/><text x="18" y="{label_y}">{}</text><text class="detail" x="18" y="36">{}</text></g>"#,
        Escaped(&cut(&drawn.label, 36)),
        Escaped(&cut(&drawn.detail, 36)),
    );
}

/// Vertical at every point.
fn curve(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (at, pair) in points.windows(2).enumerate() {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        if at == 0 {
            let _ = write!(path, "M{x0:.1} {y0:.1}");
        }
        let half = ((y1 - y0).abs() / 2.0).max(16.0);
        let _ = write!(
            path,
            "C{x0:.1} {:.1} {x1:.1} {:.1} {x1:.1} {y1:.1}",
            y0 + half,
            y1 - half
        );
    }
    path
}

/// The class of things in a state.
pub(super) fn class(state: Option<StateName>) -> String {
    state.map_or_else(
        || "open".to_owned(),
        |state| state.as_str().to_ascii_lowercase(),
    )
}
