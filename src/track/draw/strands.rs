//! From matched legs to lines: the road where a leg leads, a straight line where none does.

use super::quality::Tally;
use super::spikes;
use crate::track::ask::{MatchedLeg, MatchedTrace, Observation, way};
use crate::track::geo::{self, Place};
use crate::track::model::{PathKind, seconds};
use crate::track::recipe::draw::STUB;

/// A stretch of line of one kind between two observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Strand {
    pub kind: PathKind,
    pub from: usize,
    pub to: usize,
    pub line: Vec<Place>,
    pub confidence: f64,
    pub tally: Tally,
}

/// Places that the first and the last observation have on their own, and that the line must meet
/// exactly.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fixed {
    pub first: Option<Place>,
    pub last: Option<Place>,
}

/// The line along a whole trace. `parted` says whether a strand that begins at the one observation
/// must end before the other.
pub fn strands(
    matched: &MatchedTrace,
    trace: &[Observation],
    fixed: Fixed,
    spike: f64,
    parted: &dyn Fn(usize, usize) -> bool,
) -> Vec<Strand> {
    let mut strands: Vec<Strand> = Vec::new();
    let mut legs = matched.legs.iter().peekable();
    let mut at = 0;
    while at + 1 < trace.len() {
        let step = match legs.next_if(|leg| leg.from == at) {
            Some(leg) => along(leg, matched, trace),
            None => straight(at, matched, trace),
        };
        at = step.to;
        match strands.last_mut() {
            Some(last) if last.kind == step.kind && !parted(last.from, step.from) => {
                last.extend(step)
            }
            _ => strands.push(step),
        }
    }
    let own = |i: usize| match i {
        0 => fixed.first,
        i if i + 1 == trace.len() => fixed.last,
        _ => None,
    };
    let place = |i: usize| own(i).unwrap_or(road_or_fix(i, matched, trace));
    for strand in &mut strands {
        let last = strand.line.len() - 1;
        strand.line[0] = place(strand.from);
        strand.line[last] = place(strand.to);
    }
    trim(&mut strands, &own);
    for strand in &mut strands {
        if strand.kind == PathKind::Matched {
            spikes::remove(&mut strand.line, spike);
        }
        strand.tally.length = geo::length(&strand.line);
    }
    strands
}

/// Where an observation is drawn: on the road, if a leg reaches it.
fn road_or_fix(i: usize, matched: &MatchedTrace, trace: &[Observation]) -> Place {
    matched.place_on_road(i).unwrap_or(trace[i].place)
}

/// The strand of a leg.
fn along(leg: &MatchedLeg, matched: &MatchedTrace, trace: &[Observation]) -> Strand {
    let offset = |i: usize| matched.snaps[i].map(|s| geo::distance(s.place, trace[i].place));
    let mut tally = step(leg.from, leg.to, trace, leg.distance);
    let offsets = (leg.from + 1..=leg.to).filter_map(offset);
    (tally.matched, tally.offsets) = offsets.fold((0, 0.0), |(n, sum), d| (n + 1, sum + d));
    Strand {
        kind: PathKind::Matched,
        from: leg.from,
        to: leg.to,
        line: leg.line.clone(),
        confidence: leg.confidence * leg.distance.max(1.0),
        tally,
    }
}

/// The strand from an observation to the next one where no leg leads.
fn straight(at: usize, matched: &MatchedTrace, trace: &[Observation]) -> Strand {
    let line = [at, at + 1]
        .map(|i| road_or_fix(i, matched, trace))
        .to_vec();
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

fn step(from: usize, to: usize, trace: &[Observation], distance: f64) -> Tally {
    Tally {
        observations: to - from,
        fixes_length: way(&trace[from..=to]),
        max_speed: distance / seconds(trace[from].time, trace[to].time).max(1.0),
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
fn trim(strands: &mut Vec<Strand>, own: &dyn Fn(usize) -> Option<Place>) {
    let stub = |s: &Strand| s.kind == PathKind::Raw && geo::length(&s.line) < STUB;
    if strands.len() > 1
        && strands
            .last()
            .is_some_and(|s| stub(s) && own(s.to).is_none())
    {
        strands.pop();
    }
    if strands.len() > 1 && stub(&strands[0]) && own(strands[0].from).is_none() {
        strands.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{leg, trace};

    fn kinds(legs: Vec<MatchedLeg>, trace: &[Observation]) -> Vec<(PathKind, usize, usize)> {
        let matched = MatchedTrace {
            legs,
            ..MatchedTrace::unknown(trace.len())
        };
        let strands = strands(&matched, trace, Fixed::default(), 10.0, &|_, _| false);
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
    fn a_missing_leg_is_drawn_raw_between_matched_ones() {
        let trace = trace(&WAY);
        let legs = vec![leg(&trace, 0, 1), leg(&trace, 1, 2), leg(&trace, 3, 4)];
        assert_eq!(
            kinds(legs, &trace),
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
            kinds(vec![leg(&trace, 0, 1)], &trace),
            [(PathKind::Matched, 0, 1)]
        );
    }
}
