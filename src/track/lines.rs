//! From links of road to lines: which links to believe, what to draw where there is none.

use super::PathKind;
use super::clean::{can_travel, seconds};
use super::geo::{self, Place};
use super::quality::Tally;
use super::road::{Asker, Link, Road, Waypoint};
use crate::osrm::MatchError;

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
fn own_way(link: &Link, trace: &[Waypoint]) -> f64 {
    trace[link.from..=link.to]
        .windows(2)
        .map(|w| geo::distance(w[0].place, w[1].place))
        .sum()
}

/// Seconds between the ends of a link.
fn time(link: &Link, trace: &[Waypoint]) -> f64 {
    seconds(trace[link.from].time, trace[link.to].time)
}

/// Leaves only believable links and asks anew where OSRM went astray.
pub fn mend(road: &mut Road, trace: &[Waypoint], asker: &Asker) -> Result<(), MatchError> {
    let mut links = Vec::with_capacity(road.links.len());
    for link in std::mem::take(&mut road.links) {
        let detour = link.distance - own_way(&link, trace);
        let least = 40.0 + 1.0 * time(&link, trace);
        if detour > least
            && let Some(shorter) = bridge(link.from, link.to, road, trace, asker)?
            && shorter.distance < link.distance - least
        {
            links.push(shorter);
        } else {
            links.push(link);
        }
    }
    links.retain(|link| believable(link, trace));
    road.links = links;
    for (from, to) in gaps(road, trace) {
        let found = within(from, to, road, trace, asker)?;
        road.add(found);
    }
    for (from, to) in gaps(road, trace) {
        if road.links.iter().any(|l| l.to == from) && road.links.iter().any(|l| l.from == to) {
            let found = bridge(from, to, road, trace, asker)?.filter(|l| believable(l, trace));
            road.add(found.into_iter().collect());
        }
    }
    Ok(())
}

/// Pairs of waypoints with no link between them.
fn gaps(road: &Road, trace: &[Waypoint]) -> Vec<(usize, usize)> {
    let mut from = 0;
    let mut gaps = Vec::new();
    for link in &road.links {
        if from < link.from {
            gaps.push((from, link.from));
        }
        from = link.to;
    }
    if from < trace.len() - 1 {
        gaps.push((from, trace.len() - 1));
    }
    gaps
}

fn within(
    from: usize,
    to: usize,
    road: &mut Road,
    trace: &[Waypoint],
    asker: &Asker,
) -> Result<Vec<Link>, MatchError> {
    let mut links: Vec<Link> = Vec::new();
    let whole = to - from + 1 == trace.len();
    if to - from > 1 && (to - from) as f64 <= 12.0 && !whole {
        let mut part = trace[from..=to].to_vec();
        for (i, k) in [(from, 0), (to, to - from)] {
            if let Some(spot) = road.spots[i]
                && road.links.iter().any(|l| l.from == i || l.to == i)
            {
                part[k] = Waypoint {
                    place: spot.place,
                    radius: super::road::ANCHOR,
                    ..part[k]
                };
            }
        }
        links = part_of(from, &part, road, trace, asker, 15000.0)?;
    }
    if links.is_empty() && to - from > 2 && !whole {
        links = part_of(from + 1, &trace[from + 1..to], road, trace, asker, 300.0)?;
    }
    Ok(links)
}

fn part_of(
    offset: usize,
    part: &[Waypoint],
    road: &mut Road,
    trace: &[Waypoint],
    asker: &Asker,
    detour: f64,
) -> Result<Vec<Link>, MatchError> {
    let found = asker.follow_within(part, detour)?;
    let links: Vec<Link> = found
        .links
        .into_iter()
        .map(|l| Link {
            from: l.from + offset,
            to: l.to + offset,
            ..l
        })
        .filter(|l| believable(l, trace))
        .collect();
    for (i, spot) in found.spots.into_iter().enumerate() {
        if spot.is_some()
            && !road
                .links
                .iter()
                .any(|l| l.from == i + offset || l.to == i + offset)
        {
            road.spots[i + offset] = spot;
        }
    }
    Ok(links)
}

/// The shortest road between the spots of two waypoints, whatever the direction at its ends.
fn bridge(
    from: usize,
    to: usize,
    road: &Road,
    trace: &[Waypoint],
    asker: &Asker,
) -> Result<Option<Link>, MatchError> {
    let end = |i: usize| {
        let place = road.spots[i].map_or(trace[i].place, |spot| spot.place);
        Waypoint {
            place,
            radius: super::road::ANCHOR,
            ..trace[i]
        }
    };
    let bridge = asker.follow_within(&[end(from), end(to)], 15000.0)?;
    Ok(bridge
        .links
        .into_iter()
        .next()
        .map(|link| Link { from, to, ..link }))
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
