//! The graph of a record, as it is drawn: runs and maps as nodes, flow runs
//! as clusters, inside each other as they were called.
//!
//! Invariant: edges go between members of one cluster (an edge into a subflow
//! is one to its cluster), and a drawing is small however many runs there
//! were: many single runs of one task are one node.

use std::collections::{HashMap, HashSet};

use super::record::{Edge, FlowRecord, Kind, Node};
use super::summary::grouped;
use crate::state::StateName;

/// So many single runs of one task are drawn one by one in a flow run.
const DRAWN_RUNS: usize = 8;
/// So many calls of flows are drawn in a flow run.
const DRAWN_FLOWS: usize = 12;

/// A flow run.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) title: String,
    pub(super) state: Option<StateName>,
    pub(super) members: Vec<Member>,
    pub(super) links: Vec<Link>,
}

#[derive(Debug)]
pub(super) enum Member {
    Node(Drawn),
    Cluster(Cluster),
}

/// A run, a map or many runs.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) label: String,
    /// `1,000 rows`, or the run's name.
    pub(super) detail: String,
    /// How they ended; `None`: in several ways, or not at all.
    pub(super) state: Option<StateName>,
    pub(super) is_map: bool,
}

/// From one member of a cluster to another.
#[derive(Debug, PartialEq, Eq, Hash, Clone)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kind: LinkKind,
}

#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
pub(super) enum LinkKind {
    Value,
    Order,
    /// A task called the flow.
    Call,
}

impl Cluster {
    /// The clusters of a record: one, unless several calls were recorded.
    pub(super) fn all(flows: &[FlowRecord]) -> Vec<Self> {
        let places = Places::of(flows);
        let roots = (0..flows.len()).filter(|flow| flows[*flow].parent.is_none());
        roots.map(|flow| places.cluster(flow)).collect()
    }
}

/// Which member of its cluster each node and each flow run became.
struct Places<'a> {
    flows: &'a [FlowRecord],
    nodes: Vec<Vec<usize>>,
    members: Vec<Vec<Source>>,
    flow_members: HashMap<usize, usize>,
}

enum Source {
    Nodes(Vec<usize>),
    Flow(usize),
    /// So many more flow runs.
    More(usize),
}

impl<'a> Places<'a> {
    fn of(flows: &'a [FlowRecord]) -> Self {
        let mut places = Self {
            flows,
            nodes: Vec::new(),
            members: Vec::new(),
            flow_members: HashMap::new(),
        };
        for flow in flows {
            let mut singles: HashMap<_, usize> = HashMap::new();
            for node in &flow.nodes {
                *singles.entry(task(node)).or_default() += usize::from(!is_map(node));
            }
            let mut members: Vec<Source> = Vec::new();
            let mut together: HashMap<_, usize> = HashMap::new();
            let mut nodes = Vec::new();
            for (at, node) in flow.nodes.iter().enumerate() {
                let task = task(node);
                let is_one_of_many = !is_map(node) && singles[&task] > DRAWN_RUNS;
                match together.get(&task) {
                    Some(member) if is_one_of_many => {
                        nodes.push(*member);
                        if let Source::Nodes(all) = &mut members[*member] {
                            all.push(at);
                        }
                    }
                    _ => {
                        if is_one_of_many {
                            together.insert(task, members.len());
                        }
                        nodes.push(members.len());
                        members.push(Source::Nodes(vec![at]));
                    }
                }
            }
            places.nodes.push(nodes);
            places.members.push(members);
        }
        let mut called = vec![0; flows.len()];
        for (at, flow) in flows.iter().enumerate() {
            let Some(parent) = flow.parent else { continue };
            let members = &mut places.members[parent.flow];
            called[parent.flow] += 1;
            if called[parent.flow] <= DRAWN_FLOWS {
                places.flow_members.insert(at, members.len());
                members.push(Source::Flow(at));
            } else if let Some(Source::More(more)) = members.last_mut() {
                *more += 1;
            } else {
                members.push(Source::More(1));
            }
        }
        places
    }

    fn cluster(&self, flow: usize) -> Cluster {
        let record = &self.flows[flow];
        let name = record.flow.as_deref().unwrap_or("outside of flows");
        let members = self.members[flow].iter().map(|source| match source {
            Source::Nodes(nodes) => Member::Node(Drawn::of(
                &nodes
                    .iter()
                    .map(|at| &record.nodes[*at])
                    .collect::<Vec<_>>(),
            )),
            Source::Flow(inner) => Member::Cluster(self.cluster(*inner)),
            Source::More(more) => Member::Node(Drawn {
                label: format!("+ {} flow runs", grouped(*more as u64)),
                detail: String::new(),
                state: None,
                is_map: true,
            }),
        });
        let mut links = HashSet::new();
        for (inside, other) in self.flows.iter().enumerate() {
            for (at, node) in other.nodes.iter().enumerate() {
                let to = self.member_of(flow, inside, Some(at));
                for edge in &node.edges {
                    links.extend(self.link(flow, to, edge));
                }
            }
            if let (Some(parent), Some(to)) = (other.parent, self.flow_members.get(&inside))
                && parent.flow == flow
                && let Some(node) = parent.node
            {
                links.insert(Link {
                    from: self.nodes[flow][node],
                    to: *to,
                    kind: LinkKind::Call,
                });
            }
        }
        let mut links: Vec<_> = links.into_iter().collect();
        links.sort_by_key(|link| (link.from, link.to));
        Cluster {
            title: match record.run_name.as_str() {
                "" => name.to_owned(),
                run => format!("{name} · {run}"),
            },
            state: record.states.last().map(|state| state.name),
            members: members.collect(),
            links,
        }
    }

    fn link(&self, flow: usize, to: Option<usize>, edge: &Edge) -> Option<Link> {
        let from = self.member_of(flow, edge.flow, Some(edge.node))?;
        let to = to.filter(|to| *to != from)?;
        Some(Link {
            from,
            to,
            kind: match edge.parameter {
                Some(_) => LinkKind::Value,
                None => LinkKind::Order,
            },
        })
    }

    /// The member of a flow run's cluster that holds a node of that flow run,
    /// or of one inside it.
    fn member_of(&self, flow: usize, inside: usize, node: Option<usize>) -> Option<usize> {
        if inside == flow {
            return self.nodes[flow].get(node?).copied();
        }
        let parent = self.flows[inside].parent?;
        if parent.flow == flow {
            return self.flow_members.get(&inside).copied();
        }
        self.member_of(flow, parent.flow, None)
    }
}

fn task(node: &Node) -> (&str, &str) {
    (node.task.key, &node.name)
}

fn is_map(node: &Node) -> bool {
    matches!(node.kind, Kind::Map { .. })
}

impl Drawn {
    fn of(nodes: &[&Node]) -> Self {
        let mut ends: Vec<StateName> = Vec::new();
        for node in nodes {
            ends.extend(node.tally.ends().map(|(name, _)| name));
        }
        let unsettled = nodes.iter().any(|node| node.unsettled() > 0);
        ends.dedup();
        let runs: u64 = nodes
            .iter()
            .map(|node| node.tally.runs() + node.unsettled())
            .sum();
        let first = nodes[0];
        let detail = match &first.kind {
            Kind::Run(run) if nodes.len() == 1 => run.name.clone(),
            Kind::Map { length: None, .. } => "a map".to_owned(),
            Kind::Map {
                length: Some(length),
                ..
            } => match length {
                1 => "1 row".to_owned(),
                rows => format!("{} rows", grouped(u64::from(*rows))),
            },
            Kind::Run(_) | Kind::Many => format!("{} runs", grouped(runs)),
        };
        Self {
            label: first.name.to_string(),
            detail,
            state: match ends.as_slice() {
                [one] if !unsettled => Some(*one),
                _ => None,
            },
            is_map: is_map(first) || nodes.len() > 1,
        }
    }
}
