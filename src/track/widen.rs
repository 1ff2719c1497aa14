//! Asking anew, with no bound to detours, about the parts of a trace that do not fit its road.

use super::geo;
use super::lines::{believable, covered};
use super::road::{ANYWHERE, Asker, Link, Road, Spot, Waypoint};
use crate::osrm::MatchError;

/// A waypoint does not fit its road if it lies so many times farther off than usual (and a metre).
const TROUBLE: f64 = 3.0;
/// What is asked about reaches so many metres, and waypoints, to each side of the trouble.
const MARGIN: f64 = 150.0;
const MARGIN_STEPS: usize = 3;
/// If that is more than this share of the trace, all of it is asked about.
const MOST: f64 = 0.7;

/// The road after asking anew; `None` if all of the trace fits. `off` is the usual distance of a
/// waypoint from its road in metres.
pub fn widen(
    trace: &[Waypoint],
    road: &Road,
    off: f64,
    asker: &Asker,
) -> Result<Option<Road>, MatchError> {
    let troubled = troubled(trace, road, off);
    let parts = parts(trace, &troubled);
    if parts.is_empty() {
        return Ok(None);
    }
    let steps: usize = parts.iter().map(|(from, to)| to - from).sum();
    if steps as f64 > MOST * (trace.len() - 1) as f64 {
        return asker.follow_within(trace, ANYWHERE).map(Some);
    }
    let held = |i: usize| match road.spots[i] {
        Some(spot) if !troubled[i] => trace[i].anchored(spot.place),
        _ => trace[i],
    };
    let mut widened = road.clone();
    for (from, to) in parts {
        let mut part = trace[from..=to].to_vec();
        part[0] = held(from);
        part[to - from] = held(to);
        let found = asker.follow_within(&part, ANYWHERE)?;
        let inside = |link: &&Link| from <= link.from && link.to <= to;
        let before = covered(road.links.iter().filter(inside), trace);
        if covered(&found.links, &part) >= before {
            widened.replace(from, to, found);
        }
    }
    Ok(Some(widened))
}

/// Which waypoints found no road, or one that lies much farther away than those of others, or none
/// that leads on as a vehicle can have driven.
fn troubled(trace: &[Waypoint], road: &Road, off: f64) -> Vec<bool> {
    let far = |(w, spot): (&Waypoint, &Option<Spot>)| {
        spot.is_none_or(|s| geo::distance(s.place, w.place) > TROUBLE * (1.0 + off))
    };
    let mut troubled: Vec<bool> = trace.iter().zip(&road.spots).map(far).collect();
    let bad = road.links.iter().filter(|link| !believable(link, trace));
    let bad = bad.map(|link| link.from..=link.to);
    for part in road.gaps().into_iter().chain(bad) {
        troubled[part].fill(true);
    }
    troubled
}

/// First and last waypoint of each part to ask about: the troubled ones with a margin.
fn parts(trace: &[Waypoint], troubled: &[bool]) -> Vec<(usize, usize)> {
    let last = trace.len() - 1;
    let step = |i: usize| geo::distance(trace[i].place, trace[i + 1].place);
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for i in (0..=last).filter(|i| troubled[*i]) {
        let (mut from, mut way) = (i, 0.0);
        while from > 0 && (i - from < MARGIN_STEPS || way < MARGIN) {
            from -= 1;
            way += step(from);
        }
        let (mut to, mut way) = (i, 0.0);
        while to < last && (to - i < MARGIN_STEPS || way < MARGIN) {
            way += step(to);
            to += 1;
        }
        match parts.last_mut() {
            Some(part) if part.1 + MARGIN_STEPS >= from => part.1 = part.1.max(to),
            _ => parts.push((from, to)),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::grid::{City, trace};

    fn asked_again(missing: std::ops::Range<usize>) -> (usize, usize) {
        let places: Vec<(f64, f64)> = (0..40).map(|i| (60.0 * i as f64, 0.0)).collect();
        let (trace, city) = (trace(&places), City::default());
        let asker = Asker::new(&city);
        let mut road = asker.follow(&trace).unwrap();
        road.links.retain(|link| !missing.contains(&link.from));
        let before = city.asked.borrow().len();
        let widened = widen(&trace, &road, 0.0, &asker).unwrap();
        let asked = city.asked.borrow().len() - before;
        (widened.map_or(0, |road| road.links.len()), asked)
    }

    #[test]
    fn what_fits_is_not_asked_about() {
        assert_eq!(asked_again(0..0), (0, 0));
    }

    #[test]
    fn each_trouble_is_asked_about_alone() {
        assert_eq!(asked_again(20..23), (39, 1));
        assert_eq!(asked_again(0..1), (39, 1));
    }

    #[test]
    fn a_trace_full_of_trouble_is_asked_about_as_one() {
        assert_eq!(asked_again(3..36), (39, 1));
    }
}
