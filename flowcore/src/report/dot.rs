//! A record's graph in the DOT language, for Graphviz.

use std::fmt::Write as _;

use super::graph::{Cluster, LinkKind, Member};
use super::record::FlowRecord;
use super::text::Quoted;
use crate::state::StateName;

pub(super) fn document(flows: &[FlowRecord]) -> String {
    let mut dot = "digraph runs {\n  compound=true\n  node [shape=box, style=\"rounded,filled\", \
                   fillcolor=white, fontname=\"Helvetica\"]\n  graph [fontname=\"Helvetica\"]\n"
        .to_owned();
    let mut names = 0;
    for each in &Cluster::all(flows) {
        cluster(&mut dot, each, &mut names);
    }
    dot.push_str("}\n");
    dot
}

/// The ends of edges: DOT has none that begin or end at a cluster, only ones
/// that are cut at its border.
struct End {
    node: String,
    border: Option<String>,
}

// Writing to a `String` cannot fail, here and below.
fn cluster(dot: &mut String, drawn: &Cluster, names: &mut usize) -> End {
    let name = format!("cluster_{names}");
    let anchor = format!("anchor_{names}");
    *names += 1;
    let _ = writeln!(
        dot,
        "subgraph {name} {{\n  label={}\n  style=rounded\n  color={}\n  {anchor} [shape=point, style=invis]",
        Quoted(&drawn.title),
        colour(drawn.state)
    );
    let mut ends = Vec::new();
    for member in &drawn.members {
        ends.push(match member {
            Member::Cluster(inner) => cluster(dot, inner, names),
            Member::Node(node) => {
                let name = format!("n{names}");
                *names += 1;
                let label = match node.detail.as_str() {
                    "" => node.label.clone(),
                    detail => format!("{}\n{detail}", node.label),
                };
                let peripheries = if node.is_map { 2 } else { 1 };
                let _ = writeln!(
                    dot,
                    "  {name} [label={}, color={}, peripheries={peripheries}]",
                    Quoted(&label),
                    colour(node.state)
                );
                End {
                    node: name,
                    border: None,
                }
            }
        });
    }
    for link in &drawn.links {
        let (from, to) = (&ends[link.from], &ends[link.to]);
        let style = match link.kind {
            LinkKind::Value => "solid",
            LinkKind::Order => "dashed",
            LinkKind::Call => "dotted",
        };
        let mut attributes = format!("style={style}");
        if let Some(border) = &from.border {
            let _ = write!(attributes, ", ltail={border}");
        }
        if let Some(border) = &to.border {
            let _ = write!(attributes, ", lhead={border}");
        }
        let _ = writeln!(dot, "  {} -> {} [{attributes}]", from.node, to.node);
    }
    dot.push_str("}\n");
    End {
        node: anchor,
        border: Some(name),
    }
}

fn colour(state: Option<StateName>) -> &'static str {
    match state {
        Some(StateName::Completed | StateName::Cached | StateName::RolledBack) => "\"#2f9e5b\"",
        Some(StateName::Failed | StateName::TimedOut | StateName::Crashed) => "\"#d33b3b\"",
        Some(StateName::Cancelled | StateName::Cancelling) => "\"#8a6d3b\"",
        Some(StateName::NotReady) => "\"#8b5fbf\"",
        _ => "\"#6b7280\"",
    }
}
