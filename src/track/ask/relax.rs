//! Asking anew, with no bound to detours, about the parts of a trace that do not fit its road.

use super::asker::Asker;
use super::matched::{MatchedTrace, Observation, Snap, covered};
use crate::osrm::MatchError;
use crate::track::geo;
use crate::track::recipe::ask::{MARGIN, MARGIN_STEPS, MOST_TROUBLE, NO_BOUND, TROUBLE};

/// The match after asking anew; `None` if all of the trace fits. `off` is the usual distance of an
/// observation from its road in metres.
pub fn relax(
    trace: &[Observation],
    matched: &MatchedTrace,
    off: f64,
    asker: &Asker,
) -> Result<Option<MatchedTrace>, MatchError> {
    let troubled = troubled(trace, matched, off);
    let parts = parts(trace, &troubled);
    if parts.is_empty() {
        return Ok(None);
    }
    let steps: usize = parts.iter().map(|(from, to)| to - from).sum();
    if steps as f64 > MOST_TROUBLE * (trace.len() - 1) as f64 {
        return asker.follow_within(trace, NO_BOUND).map(Some);
    }
    let mut relaxed = matched.clone();
    for (from, to) in parts {
        let part = held_part(trace, matched, &troubled, (from, to));
        let found = asker.follow_within(&part, NO_BOUND)?;
        let before = covered(matched.legs_within(from, to), trace);
        if covered(&found.legs, &part) >= before {
            relaxed.replace(from, to, found);
        }
    }
    Ok(Some(relaxed))
}

/// A part of a trace, held to the road at its ends but where those are free.
pub fn held_part(
    trace: &[Observation],
    matched: &MatchedTrace,
    free: &[bool],
    (from, to): (usize, usize),
) -> Vec<Observation> {
    let mut part = trace[from..=to].to_vec();
    for i in [from, to] {
        if let (Some(snap), false) = (matched.snaps[i], free[i]) {
            part[i - from] = trace[i].anchored(snap.place);
        }
    }
    part
}

/// Which observations found no road, or one that lies much farther away than those of others, or none
/// that leads on as a vehicle can have driven.
fn troubled(trace: &[Observation], matched: &MatchedTrace, off: f64) -> Vec<bool> {
    let far = |(o, snap): (&Observation, &Option<Snap>)| {
        snap.is_none_or(|s| geo::distance(s.place, o.place) > TROUBLE * (1.0 + off))
    };
    let mut troubled: Vec<bool> = trace.iter().zip(&matched.snaps).map(far).collect();
    let bad = matched.legs.iter().filter(|leg| !leg.is_believable(trace));
    let bad = bad.map(|leg| leg.from..=leg.to);
    for part in matched.gaps().into_iter().chain(bad) {
        troubled[part].fill(true);
    }
    troubled
}

/// First and last observation of each part to ask about: the troubled ones with a margin.
pub fn parts(trace: &[Observation], troubled: &[bool]) -> Vec<(usize, usize)> {
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
    use crate::track::recipe::ask::BOUND;
    use crate::track::tests::city::{City, trace};

    fn asked_again(missing: std::ops::Range<usize>) -> (usize, usize) {
        let places: Vec<(f64, f64)> = (0..40).map(|i| (60.0 * i as f64, 0.0)).collect();
        let (trace, city) = (trace(&places), City::default());
        let asker = Asker::new(&city);
        let mut matched = asker.follow(&trace, BOUND).unwrap();
        matched.legs.retain(|leg| !missing.contains(&leg.from));
        let before = city.asked.borrow().len();
        let relaxed = relax(&trace, &matched, 0.0, &asker).unwrap();
        let asked = city.asked.borrow().len() - before;
        (relaxed.map_or(0, |matched| matched.legs.len()), asked)
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
