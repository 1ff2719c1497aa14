//! From links of road to lines: which links to believe, what to draw where there is none.

use super::PathKind;
use super::clean::{can_travel, seconds};
use super::geo::{self, Place};
use super::quality::Tally;
use super::road::{Link, Road, Waypoint};

/// A link that is longer than the fixes' own way by this factor, and these metres, and these
/// metres a second between the fixes, drove around something that the map lacks.
const DETOUR: f64 = 1.6;
const DETOUR_SLACK: f64 = 60.0;
const DETOUR_SPEED: f64 = 8.0;
/// A waypoint that a link left out is astray so many metres from it, and twice its radius.
const ASTRAY: f64 = 20.0;
/// Waypoints that are astray for so many seconds were driven; fewer are an outlier.
const EXCURSION: f64 = 5.0;
/// A raw stub at the end of a matched line is drawn from this length on, in metres; a shorter one
/// is noise.
const STUB: f64 = 100.0;

/// A stretch of line of one kind between two waypoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Strand {
    pub kind: PathKind,
    pub from: usize,
    pub to: usize,
    pub line: Vec<Place>,
    pub confidence: f64,
    pub tally: Tally,
}

/// Whether a vehicle that left these fixes can have driven this link.
pub fn believable(link: &Link, trace: &[Waypoint]) -> bool {
    let own = own_way(link, trace);
    let time = time(link, trace);
    let astray = |w: &&Waypoint| geo::off_line(w.place, &link.line) > ASTRAY + 2.0 * w.radius;
    let mut skipped = trace[link.from + 1..link.to].iter().filter(astray);
    let excursion = skipped.next().zip(skipped.next_back());
    link.distance <= DETOUR * own + DETOUR_SLACK + DETOUR_SPEED * time
        && can_travel(link.distance, time)
        && excursion.is_none_or(|(first, last)| seconds(first.time, last.time) < EXCURSION)
}

/// Steps from waypoint to waypoint that believable links cover.
pub fn covered<'a>(links: impl IntoIterator<Item = &'a Link>, trace: &[Waypoint]) -> usize {
    let good = links.into_iter().filter(|link| believable(link, trace));
    good.map(|link| link.to - link.from).sum()
}

/// Metres along the fixes that a link stands for.
pub fn own_way(link: &Link, trace: &[Waypoint]) -> f64 {
    trace[link.from..=link.to]
        .windows(2)
        .map(|w| geo::distance(w[0].place, w[1].place))
        .sum()
}

/// Seconds between the ends of a link.
pub fn time(link: &Link, trace: &[Waypoint]) -> f64 {
    seconds(trace[link.from].time, trace[link.to].time)
}

/// The line along a whole trace. `fixed` says which waypoints have a place of their own that the
/// line must meet exactly, `parted` whether a strand that begins at the one must end before the
/// other.
pub fn strands(
    road: &Road,
    trace: &[Waypoint],
    fixed: &[Option<Place>],
    spike: f64,
    parted: &dyn Fn(usize, usize) -> bool,
) -> Vec<Strand> {
    let mut strands: Vec<Strand> = Vec::new();
    let mut links = road.links.iter().peekable();
    let mut at = 0;
    while at + 1 < trace.len() {
        let step = match links.next_if(|link| link.from == at) {
            Some(link) => matched(link, road, trace),
            None => raw(at, road, trace),
        };
        at = step.to;
        match strands.last_mut() {
            Some(last) if last.kind == step.kind && !parted(last.from, step.from) => {
                last.extend(step)
            }
            _ => strands.push(step),
        }
    }
    let place = |i: usize| fixed[i].or(on_road(road, i)).unwrap_or(trace[i].place);
    for strand in &mut strands {
        let last = strand.line.len() - 1;
        strand.line[0] = place(strand.from);
        strand.line[last] = place(strand.to);
    }
    trim(&mut strands, fixed);
    for strand in &mut strands {
        if strand.kind == PathKind::Matched {
            super::spikes::remove(&mut strand.line, spike);
        }
        strand.tally.length = geo::length(&strand.line);
    }
    strands
}

/// The place of a waypoint on the road, if a link reaches it.
fn on_road(road: &Road, i: usize) -> Option<Place> {
    let after = road.links.partition_point(|link| link.from < i);
    let starts = road
        .links
        .get(after)
        .filter(|link| link.from == i)
        .map(|l| l.line[0]);
    let before = after.checked_sub(1).and_then(|k| road.links.get(k));
    starts.or(before
        .filter(|link| link.to == i)
        .and_then(|l| l.line.last().copied()))
}

fn matched(link: &Link, road: &Road, trace: &[Waypoint]) -> Strand {
    let spot = |i: usize| road.spots[i].map(|s| geo::distance(s.place, trace[i].place));
    let mut tally = step(link.from, link.to, trace, link.distance);
    let offsets = (link.from + 1..=link.to).filter_map(spot);
    (tally.matched, tally.offsets) = offsets.fold((0, 0.0), |(n, sum), d| (n + 1, sum + d));
    Strand {
        kind: PathKind::Matched,
        from: link.from,
        to: link.to,
        line: link.line.clone(),
        confidence: link.confidence * link.distance.max(1.0),
        tally,
    }
}

fn raw(at: usize, road: &Road, trace: &[Waypoint]) -> Strand {
    let place = |i: usize| on_road(road, i).unwrap_or(trace[i].place);
    let line = vec![place(at), place(at + 1)];
    let tally = step(at, at + 1, trace, geo::length(&line));
    Strand {
        kind: PathKind::Raw,
        from: at,
        to: at + 1,
        line,
        confidence: 0.0,
        tally,
    }
}

fn step(from: usize, to: usize, trace: &[Waypoint], distance: f64) -> Tally {
    let way = &trace[from..=to];
    Tally {
        waypoints: to - from,
        fixes_length: way
            .windows(2)
            .map(|w| geo::distance(w[0].place, w[1].place))
            .sum(),
        max_speed: distance / seconds(way[0].time, way[way.len() - 1].time).max(1.0),
        ..Tally::default()
    }
}

impl Strand {
    fn extend(&mut self, next: Strand) {
        self.to = next.to;
        self.line.extend_from_slice(&next.line[1..]);
        self.confidence += next.confidence;
        self.tally.add(&next.tally);
    }
}

/// Takes away short raw stubs at loose ends of matched lines.
fn trim(strands: &mut Vec<Strand>, fixed: &[Option<Place>]) {
    let stub = |s: &Strand| s.kind == PathKind::Raw && geo::length(&s.line) < STUB;
    if strands.len() > 1
        && strands
            .last()
            .is_some_and(|s| stub(s) && fixed[s.to].is_none())
    {
        strands.pop();
    }
    if strands.len() > 1 && stub(&strands[0]) && fixed[strands[0].from].is_none() {
        strands.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::grid::trace;

    fn link(trace: &[Waypoint], from: usize, to: usize) -> Link {
        let line = vec![trace[from].place, trace[to].place];
        let distance = geo::length(&line);
        Link {
            from,
            to,
            line,
            distance,
            confidence: 1.0,
        }
    }

    fn kinds(links: Vec<Link>, trace: &[Waypoint]) -> Vec<(PathKind, usize, usize)> {
        let road = Road {
            spots: vec![None; trace.len()],
            links,
            refusal: None,
        };
        let strands = strands(&road, trace, &vec![None; trace.len()], 10.0, &|_, _| false);
        strands.iter().map(|s| (s.kind, s.from, s.to)).collect()
    }

    const WAY: [(f64, f64); 5] = [
        (0.0, 0.0),
        (150.0, 0.0),
        (300.0, 0.0),
        (450.0, 0.0),
        (600.0, 0.0),
    ];

    #[test]
    fn a_long_way_round_is_not_believed() {
        let trace = trace(&WAY);
        let straight = link(&trace, 0, 1);
        assert!(believable(&straight, &trace));
        assert!(!believable(
            &Link {
                distance: 500.0,
                ..straight.clone()
            },
            &trace
        ));
        assert!(!believable(
            &Link {
                distance: 5_000.0,
                ..straight
            },
            &trace
        ));
    }

    #[test]
    fn a_link_that_leaves_out_an_excursion_is_not_believed() {
        let trace = trace(&[(0.0, 0.0), (20.0, 90.0), (40.0, 90.0), (60.0, 0.0)]);
        assert!(!believable(&link(&trace, 0, 3), &trace));
    }

    #[test]
    fn a_missing_link_is_drawn_raw_between_matched_ones() {
        let trace = trace(&WAY);
        let links = vec![link(&trace, 0, 1), link(&trace, 1, 2), link(&trace, 3, 4)];
        assert_eq!(
            kinds(links, &trace),
            [
                (PathKind::Matched, 0, 2),
                (PathKind::Raw, 2, 3),
                (PathKind::Matched, 3, 4)
            ]
        );
    }

    #[test]
    fn a_short_raw_stub_at_a_loose_end_is_noise() {
        let trace = trace(&[(0.0, 0.0), (150.0, 0.0), (180.0, 40.0)]);
        assert_eq!(
            kinds(vec![link(&trace, 0, 1)], &trace),
            [(PathKind::Matched, 0, 1)]
        );
    }
}
