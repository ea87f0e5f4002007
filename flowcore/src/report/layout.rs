//! Where the members of a cluster are drawn: in layers, from top to bottom.
//!
//! The usual four steps (Sugiyama): layers by the longest path, points where
//! long edges pass through layers, an order by the mean place of neighbours,
//! then places. A cluster inside another is laid out first and is a member of
//! its size. Members without edges fill rows of their own.

use super::graph::{Cluster, Link, Member};

/// Between members, and inside the border of a cluster.
const GAP: f64 = 22.0;
const LAYER_GAP: f64 = 46.0;
const PADDING: f64 = 20.0;
const TITLE: f64 = 30.0;
const NODE_HEIGHT: f64 = 46.0;
/// The width of a character, about.
const CHARACTER: f64 = 7.6;
/// Rows of members without edges are about so wide.
const ROW_WIDTH: f64 = 900.0;
/// How often the order is improved.
const SWEEPS: usize = 6;

/// A cluster with places; all of them are relative to its corner.
#[derive(Debug)]
pub(super) struct Laid<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) size: (f64, f64),
    pub(super) members: Vec<Place<'a>>,
    /// Points from the end of one member to the top of another.
    pub(super) edges: Vec<(&'a Link, Vec<(f64, f64)>)>,
}

#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) at: (f64, f64),
    pub(super) size: (f64, f64),
    pub(super) inner: Option<Laid<'a>>,
}

/// Something in a layer: a member, or a point that an edge passes through.
struct Item {
    member: Option<usize>,
    width: f64,
    above: Vec<usize>,
    below: Vec<usize>,
    x: f64,
}

pub(super) fn lay_out(cluster: &Cluster) -> Laid<'_> {
    let mut places: Vec<Place<'_>> = cluster.members.iter().map(measure).collect();
    let count = places.len();
    let mut has_edge = vec![false; count];
    for link in &cluster.links {
        has_edge[link.from] = true;
        has_edge[link.to] = true;
    }
    let layer_of = layers(count, &cluster.links);
    let depth = layer_of.iter().max().map_or(0, |last| last + 1);
    let mut items: Vec<Item> = places
        .iter()
        .enumerate()
        .map(|(member, place)| Item {
            member: Some(member),
            width: place.size.0,
            above: Vec::new(),
            below: Vec::new(),
            x: 0.0,
        })
        .collect();
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for member in (0..count).filter(|member| has_edge[*member]) {
        layers[layer_of[member]].push(member);
    }
    let paths: Vec<Vec<usize>> = cluster
        .links
        .iter()
        .map(|link| pass(link, &layer_of, &mut items, &mut layers))
        .collect();
    order(&mut items, &mut layers);

    let mut y = PADDING + TITLE;
    let mut tops = Vec::new();
    for layer in &layers {
        let heights = layer.iter().filter_map(|item| items[*item].member);
        let height = heights
            .map(|member| places[member].size.1)
            .fold(0.0, f64::max);
        for item in layer {
            if let Some(member) = items[*item].member {
                places[member].at = (items[*item].x - items[*item].width / 2.0, y);
            }
        }
        tops.push((y, height));
        if height > 0.0 {
            y += height + LAYER_GAP;
        }
    }
    let left = items.iter().map(|item| item.x - item.width / 2.0);
    let left = left.fold(f64::INFINITY, f64::min).min(0.0) - PADDING;
    for item in &mut items {
        item.x -= left;
    }
    for (member, place) in places.iter_mut().enumerate() {
        if has_edge[member] {
            place.at.0 -= left;
        }
    }
    let linked = places
        .iter()
        .zip(&has_edge)
        .filter(|(_, has_edge)| **has_edge);
    let right = linked
        .map(|(place, _)| place.at.0 + place.size.0)
        .fold(0.0, f64::max);
    let bottom = rows(&mut places, &has_edge, y, right.max(ROW_WIDTH));
    let edges = cluster
        .links
        .iter()
        .zip(paths)
        .map(|(link, path)| (link, points(link, &path, &items, &places, &layer_of, &tops)))
        .collect();
    let right = places
        .iter()
        .map(|place| place.at.0 + place.size.0)
        .chain(items.iter().map(|item| item.x))
        .fold(cluster.title.chars().count() as f64 * CHARACTER, f64::max);
    Laid {
        cluster,
        size: (right + PADDING, bottom + PADDING),
        members: places,
        edges,
    }
}

fn measure(member: &Member) -> Place<'_> {
    let (size, inner) = match member {
        Member::Node(node) => {
            let characters = node.label.chars().count().max(node.detail.chars().count());
            let width = (characters.min(36) as f64 * CHARACTER + 34.0).max(90.0);
            ((width, NODE_HEIGHT), None)
        }
        Member::Cluster(cluster) => {
            let laid = lay_out(cluster);
            (laid.size, Some(laid))
        }
    };
    Place {
        at: (0.0, 0.0),
        size,
        inner,
    }
}

/// Edges that lead back (many runs drawn as one node) count for nothing.
fn leads_on(link: &Link) -> bool {
    link.from < link.to
}

/// One more than the deepest upstream. Members are in the order of their
/// submission, so what comes upstream comes first.
fn layers(count: usize, links: &[Link]) -> Vec<usize> {
    let mut layer = vec![0; count];
    let mut by_target: Vec<&Link> = links.iter().filter(|link| leads_on(link)).collect();
    by_target.sort_by_key(|link| link.to);
    for link in by_target {
        layer[link.to] = layer[link.to].max(layer[link.from] + 1);
    }
    layer
}

/// The points of an edge in the layers between its ends.
fn pass(
    link: &Link,
    layer_of: &[usize],
    items: &mut Vec<Item>,
    layers: &mut [Vec<usize>],
) -> Vec<usize> {
    let mut path = vec![link.from];
    if leads_on(link) {
        for layer in &mut layers[layer_of[link.from] + 1..layer_of[link.to]] {
            layer.push(items.len());
            path.push(items.len());
            items.push(Item {
                member: None,
                width: 6.0,
                above: Vec::new(),
                below: Vec::new(),
                x: 0.0,
            });
        }
    }
    path.push(link.to);
    if leads_on(link) {
        for pair in path.windows(2) {
            items[pair[0]].below.push(pair[1]);
            items[pair[1]].above.push(pair[0]);
        }
    }
    path
}

/// Brings neighbours near to each other.
fn order(items: &mut [Item], layers: &mut [Vec<usize>]) {
    for layer in &*layers {
        spread(items, layer);
    }
    for sweep in 0..SWEEPS {
        let is_down = sweep % 2 == 0;
        let count = layers.len();
        for at in 0..count {
            let layer = &mut layers[if is_down { at } else { count - 1 - at }];
            for item in &*layer {
                let neighbours = if is_down {
                    &items[*item].above
                } else {
                    &items[*item].below
                };
                if !neighbours.is_empty() {
                    let sum: f64 = neighbours.iter().map(|near| items[*near].x).sum();
                    items[*item].x = sum / neighbours.len() as f64;
                }
            }
            layer.sort_by(|a, b| items[*a].x.total_cmp(&items[*b].x));
            spread(items, layer);
        }
    }
}

/// Pushes items of a layer apart, about the middle of where they want to be.
fn spread(items: &mut [Item], layer: &[usize]) {
    if layer.is_empty() {
        return;
    }
    let wanted: f64 = layer.iter().map(|item| items[*item].x).sum::<f64>() / layer.len() as f64;
    let mut end = f64::NEG_INFINITY;
    for item in layer {
        let item = &mut items[*item];
        item.x = item.x.max(end + item.width / 2.0);
        end = item.x + item.width / 2.0 + GAP;
    }
    let got: f64 = layer.iter().map(|item| items[*item].x).sum::<f64>() / layer.len() as f64;
    for item in layer {
        items[*item].x += wanted - got;
    }
}

/// Members without edges, row by row below the others; gives the end.
fn rows(places: &mut [Place<'_>], has_edge: &[bool], top: f64, width: f64) -> f64 {
    let (mut x, mut y, mut height) = (PADDING, top, 0.0_f64);
    for (place, _) in places.iter_mut().zip(has_edge).filter(|(_, has)| !**has) {
        if x > PADDING && x + place.size.0 > width {
            (x, y, height) = (PADDING, y + height + GAP, 0.0);
        }
        place.at = (x, y);
        x += place.size.0 + GAP;
        height = height.max(place.size.1);
    }
    if height == 0.0 {
        return (top - LAYER_GAP).max(PADDING + TITLE);
    }
    y + height
}

fn points(
    link: &Link,
    path: &[usize],
    items: &[Item],
    places: &[Place<'_>],
    layer_of: &[usize],
    tops: &[(f64, f64)],
) -> Vec<(f64, f64)> {
    let centre = |member: usize| places[member].at.0 + places[member].size.0 / 2.0;
    let mut points = vec![(
        centre(link.from),
        places[link.from].at.1 + places[link.from].size.1,
    )];
    let between = path.len().saturating_sub(2);
    for (item, layer) in path[1..=between].iter().zip(layer_of[link.from] + 1..) {
        let (top, height) = tops[layer];
        points.push((items[*item].x, top));
        points.push((items[*item].x, top + height));
    }
    points.push((centre(link.to), places[link.to].at.1));
    points
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Drawn, LinkKind};
    use super::*;

    fn cluster(members: usize, links: &[(usize, usize)]) -> Cluster {
        let node = |at| {
            Member::Node(Drawn {
                label: format!("task_{at}"),
                detail: String::new(),
                state: None,
                is_map: false,
            })
        };
        let link = |&(from, to)| Link {
            from,
            to,
            kind: LinkKind::Value,
        };
        Cluster {
            title: String::new(),
            state: None,
            members: (0..members).map(node).collect(),
            links: links.iter().map(link).collect(),
        }
    }

    fn overlap(a: &Place<'_>, b: &Place<'_>) -> bool {
        a.at.0 < b.at.0 + b.size.0
            && b.at.0 < a.at.0 + a.size.0
            && a.at.1 < b.at.1 + b.size.1
            && b.at.1 < a.at.1 + a.size.1
    }

    #[test]
    fn nothing_overlaps_and_edges_lead_down() {
        let graphs = [
            cluster(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]),
            cluster(7, &[(0, 3), (1, 3), (2, 4), (0, 6), (3, 5), (4, 5), (5, 6)]),
            cluster(9, &[(0, 1), (1, 0), (0, 8)]),
            cluster(60, &[]),
            cluster(0, &[]),
        ];
        for graph in &graphs {
            let laid = lay_out(graph);
            for (at, a) in laid.members.iter().enumerate() {
                assert!(
                    a.at.0 >= 0.0 && a.at.0 + a.size.0 <= laid.size.0,
                    "{laid:#?}"
                );
                assert!(
                    a.at.1 >= 0.0 && a.at.1 + a.size.1 <= laid.size.1,
                    "{laid:#?}"
                );
                for b in &laid.members[at + 1..] {
                    assert!(!overlap(a, b), "{laid:#?}");
                }
            }
            for (link, points) in &laid.edges {
                let is_down = points.windows(2).all(|pair| pair[0].1 <= pair[1].1);
                assert_eq!(is_down, link.from < link.to, "{laid:#?}");
            }
        }
    }
}
