//! An answer about one choice of fixes, as an answer about another choice of the same fixes.

use super::matched::{MatchedLeg, MatchedTrace, Observation, Snap};
use crate::track::geo::{self, Place};
use crate::track::recipe::ask::LEAST_ADVANCE;

/// What `matched` says of its observations `from`, said of the observations `onto`: each of them
/// is put on the leg that holds its time, never before the one ahead of it. One that does not
/// advance is left out.
pub fn resample(
    matched: &MatchedTrace,
    from: &[Observation],
    onto: &[Observation],
) -> MatchedTrace {
    let mut resampled = MatchedTrace {
        refusal: matched.refusal.clone(),
        ..MatchedTrace::unknown(onto.len())
    };
    for chain in matched.legs.chunk_by(|a, b| a.to == b.from) {
        let mut open: Option<Open> = None;
        for leg in chain {
            let is_final = matched.snaps[leg.to].is_some_and(|snap| snap.is_final);
            let mut at = 0.0;
            for (i, along) in places_on(leg, from, onto) {
                if open.as_ref().is_some_and(|open| open.from == i) {
                    continue;
                }
                let along = along.max(at);
                let part = geo::part_of_line(&leg.line, at, along);
                let place = part[part.len() - 1];
                at = along;
                open = Some(match open {
                    None => Open::at(i, place),
                    Some(open) => open.with(&part).close(i, leg, &mut resampled),
                });
                resampled.snaps[i].get_or_insert(Snap { place, is_final });
            }
            let rest = geo::part_of_line(&leg.line, at, f64::INFINITY);
            open = open.map(|open| open.with(&rest));
        }
    }
    resampled
}

/// The observations `onto` whose time a leg holds, by index, and how many metres along its line
/// each is nearest to it.
fn places_on(leg: &MatchedLeg, from: &[Observation], onto: &[Observation]) -> Vec<(usize, f64)> {
    let (begin, end) = (from[leg.from].time, from[leg.to].time);
    let along = |o: &Observation| match o.time {
        time if time == begin => 0.0,
        time if time == end => geo::length(&leg.line),
        _ => geo::project_on_line(o.place, &leg.line),
    };
    let first = onto.partition_point(|o| o.time < begin);
    let last = onto.partition_point(|o| o.time <= end);
    (first..last).map(|i| (i, along(&onto[i]))).collect()
}

/// A leg in the making.
struct Open {
    from: usize,
    line: Vec<Place>,
}

impl Open {
    fn at(from: usize, place: Place) -> Open {
        Open {
            from,
            line: vec![place],
        }
    }

    fn with(mut self, part: &[Place]) -> Open {
        self.line.extend_from_slice(part);
        self.line.dedup();
        self
    }

    /// Ends the leg at an observation, if it has got any farther, and begins the next one there.
    fn close(self, to: usize, like: &MatchedLeg, into: &mut MatchedTrace) -> Open {
        let distance = geo::length(&self.line);
        if distance < LEAST_ADVANCE {
            return self;
        }
        let next = Open::at(to, self.line[self.line.len() - 1]);
        into.legs.push(MatchedLeg {
            from: self.from,
            to,
            line: self.line,
            distance,
            confidence: like.confidence,
        });
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{leg, trace};

    fn legs(matched: &MatchedTrace) -> Vec<(usize, usize, f64)> {
        let legs = matched.legs.iter();
        legs.map(|l| (l.from, l.to, l.distance.round())).collect()
    }

    #[test]
    fn a_leg_is_cut_where_the_other_observations_lie() {
        // Ten seconds apart: the other trace has the first, the third and the last of these.
        let onto = trace(&[
            (0.0, 0.0),
            (60.0, 3.0),
            (120.0, 0.0),
            (180.0, 3.0),
            (240.0, 0.0),
        ]);
        let from = [onto[0], onto[2], onto[4]];
        let mut matched = MatchedTrace::unknown(3);
        matched.add([leg(&from, 0, 1), leg(&from, 1, 2)]);
        let cut = resample(&matched, &from, &onto);
        let expected = [(0, 1, 60.0), (1, 2, 60.0), (2, 3, 60.0), (3, 4, 60.0)];
        assert_eq!(legs(&cut), expected);
        assert!(
            cut.legs
                .windows(2)
                .all(|l| l[0].line.last() == l[1].line.first())
        );
    }

    #[test]
    fn an_observation_that_does_not_advance_is_left_out() {
        let onto = trace(&[(0.0, 0.0), (60.0, 0.0), (59.0, 0.0), (120.0, 0.0)]);
        let from = [onto[0], onto[3]];
        let mut matched = MatchedTrace::unknown(2);
        matched.add([leg(&from, 0, 1)]);
        let cut = resample(&matched, &from, &onto);
        assert_eq!(legs(&cut), [(0, 1, 60.0), (1, 3, 60.0)]);
    }

    #[test]
    fn a_gap_stays_one() {
        let onto = trace(&[(0.0, 0.0), (60.0, 0.0), (120.0, 0.0), (180.0, 0.0)]);
        let mut matched = MatchedTrace::unknown(4);
        matched.add([leg(&onto, 0, 1), leg(&onto, 2, 3)]);
        assert_eq!(resample(&matched, &onto, &onto).gaps(), [1..=2]);
    }
}
