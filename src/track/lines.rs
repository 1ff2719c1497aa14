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
    let skipped = &trace[link.from + 1..link.to];
    let astray = |w: &&Waypoint| geo::off_line(w.place, &link.line) > ASTRAY + 2.0 * w.radius;
    link.distance <= DETOUR * own + DETOUR_SLACK + DETOUR_SPEED * time
        && can_travel(link.distance, time)
        && skipped.iter().filter(astray).count() < 2
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
/// line must meet exactly, `slice` which window each is in: no strand begins in two.
pub fn strands(
    road: &Road,
    trace: &[Waypoint],
    fixed: &[Option<Place>],
    spike: f64,
    slice: &dyn Fn(usize) -> i64,
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
            Some(last) if last.kind == step.kind && slice(last.from) == slice(step.from) => {
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
