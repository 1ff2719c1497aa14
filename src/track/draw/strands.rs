//! From matched legs to lines: the road where a leg leads, a straight line where none does.

use super::quality::Tally;
use super::spikes;
use crate::track::ask::{MatchedLeg, MatchedTrace, Observation, way};
use crate::track::geo::{self, Place};
use crate::track::model::{Micros, PathKind, seconds};
use crate::track::recipe::draw::{SPEED_SPAN, STUB};

/// A stretch of line of one kind between two observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Strand {
    pub kind: PathKind,
    pub from: usize,
    pub to: usize,
    pub line: Vec<Place>,
    pub confidence: f64,
    pub tally: Tally,
    /// The observations that legs join: when each was passed, metres from the first one.
    passed: Vec<(Micros, f64)>,
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
    let place = |i: usize| own(i).unwrap_or(matched.place(i, trace));
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
        strand.tally.top_speed = top_speed(&strand.passed);
    }
    strands
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
        passed: passed(leg.from, leg.to, trace, leg.distance),
    }
}

/// The strand from an observation to the next one where no leg leads.
fn straight(at: usize, matched: &MatchedTrace, trace: &[Observation]) -> Strand {
    let line = [at, at + 1].map(|i| matched.place(i, trace)).to_vec();
    let distance = geo::length(&line);
    Strand {
        kind: PathKind::Raw,
        from: at,
        to: at + 1,
        line,
        confidence: 0.0,
        tally: step(at, at + 1, trace, distance),
        passed: passed(at, at + 1, trace, distance),
    }
}

fn step(from: usize, to: usize, trace: &[Observation], distance: f64) -> Tally {
    Tally {
        observations: to - from,
        fixes_length: way(&trace[from..=to]),
        leg_speed: distance / seconds(trace[from].time, trace[to].time).max(1.0),
        ..Tally::default()
    }
}

fn passed(from: usize, to: usize, trace: &[Observation], distance: f64) -> Vec<(Micros, f64)> {
    vec![(trace[from].time, 0.0), (trace[to].time, distance)]
}

/// The greatest mean speed over a span that noise and the rounding of times do not count in; a strand that
/// is shorter is taken to be as long.
fn top_speed(passed: &[(Micros, f64)]) -> f64 {
    let (mut top, mut first) = (0.0_f64, 0);
    for &(time, along) in passed {
        while first + 1 < passed.len() && time - passed[first + 1].0 >= SPEED_SPAN {
            first += 1;
        }
        let (since, from) = passed[first];
        let span = seconds(since, time).max(seconds(0, SPEED_SPAN));
        top = top.max((along - from) / span);
    }
    top
}

impl Strand {
    fn extend(&mut self, next: Strand) {
        let so_far = self.passed.last().map_or(0.0, |last| last.1);
        let more = next.passed[1..].iter();
        self.passed
            .extend(more.map(|(time, along)| (*time, so_far + along)));
        self.to = next.to;
        self.line.extend_from_slice(&next.line[1..]);
        self.confidence += next.confidence;
        self.tally.add(&next.tally);
    }
}

/// Takes away short raw stubs at loose ends of matched lines.
fn trim(strands: &mut Vec<Strand>, own: &dyn Fn(usize) -> Option<Place>) {
    let loose = |end: Option<usize>| end.is_some_and(|i| own(i).is_none());
    if loose(strands.last().map(|s| s.to)) {
        strands.truncate(strands.len() - stub(strands.iter().rev()));
    }
    if loose(strands.first().map(|s| s.from)) {
        strands.drain(..stub(strands.iter()));
    }
}

/// How many strands, from an end on, are a stub, however windows part it; none where nothing is matched beyond.
fn stub<'a>(strands: impl Iterator<Item = &'a Strand>) -> usize {
    let (mut count, mut length) = (0, 0.0);
    for strand in strands {
        if strand.kind == PathKind::Matched {
            return if length < STUB { count } else { 0 };
        }
        count += 1;
        length += geo::length(&strand.line);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::model::SECOND;
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

    #[test]
    fn a_windows_edge_makes_no_stub_of_a_raw_line_and_no_line_of_a_stub() {
        let parted = |way: &[(f64, f64)], legs: &[(usize, usize)]| {
            let trace = trace(way);
            let mut matched = MatchedTrace::unknown(trace.len());
            matched.add(legs.iter().map(|(from, to)| leg(&trace, *from, *to)));
            let strands = strands(&matched, &trace, Fixed::default(), 10.0, &|a, b| a != b);
            strands.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>()
        };
        let raw = [(0.0, 0.0), (60.0, 0.0), (400.0, 0.0), (460.0, 0.0)];
        assert_eq!(parted(&raw, &[]), [(0, 1), (1, 2), (2, 3)]);
        let stub = [(0.0, 0.0), (150.0, 0.0), (180.0, 0.0), (210.0, 0.0)];
        assert_eq!(parted(&stub, &[(0, 1)]), [(0, 1)]);
        let long = [(0.0, 0.0), (150.0, 0.0), (210.0, 0.0), (270.0, 0.0)];
        assert_eq!(parted(&long, &[(0, 1)]), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn the_greatest_speed_is_no_single_leap() {
        let legs = [(0, 0.0), (10, 100.0), (11, 160.0), (20, 200.0), (40, 500.0)];
        let passed = legs.map(|(second, metres)| (second * SECOND, metres));
        assert_eq!(top_speed(&passed), 15.0);
        assert_eq!(top_speed(&passed[..3]), 8.0);
        assert_eq!(top_speed(&passed[..1]), 0.0);
    }
}
