//! Asking anew where OSRM went astray.
//!
//! OSRM never turns round between two fixes and drives round the block instead; asked about the
//! two ends alone it is free to. Where it sees no connection it leaves out up to ten fixes as if
//! they were noise; they match if they are asked about alone, or with no bound to detours.

use std::ops::RangeInclusive;

use super::asker::Asker;
use super::matched::{MatchedLeg, MatchedTrace, Observation};
use crate::osrm::MatchError;
use crate::track::recipe::ask::{
    LONG_GAP_BOUND, MOST_QUESTIONS, NO_BOUND, ROUND, ROUND_SPEED, SHORT_GAP,
};

/// Leaves only believable legs in a match, and adds what asking anew finds.
pub fn repair(
    matched: &mut MatchedTrace,
    trace: &[Observation],
    asker: &Asker,
) -> Result<(), MatchError> {
    let mut repair = Repair {
        matched,
        trace,
        asker,
        left: MOST_QUESTIONS,
    };
    repair.turn_round()?;
    repair.matched.legs.retain(|leg| leg.is_believable(trace));
    for gap in repair.matched.gaps() {
        repair.fill(gap)?;
    }
    for gap in repair.matched.gaps() {
        if repair.matched.is_reached(*gap.start()) && repair.matched.is_reached(*gap.end()) {
            let bridge = repair.bridge(gap)?;
            repair
                .matched
                .add(bridge.into_iter().filter(|leg| leg.is_believable(trace)));
        }
    }
    Ok(())
}

struct Repair<'a> {
    matched: &'a mut MatchedTrace,
    trace: &'a [Observation],
    asker: &'a Asker<'a>,
    left: u32,
}

impl Repair<'_> {
    /// Replaces legs that drive round the block only to turn.
    fn turn_round(&mut self) -> Result<(), MatchError> {
        for i in 0..self.matched.legs.len() {
            let leg = &self.matched.legs[i];
            let least = ROUND + ROUND_SPEED * leg.seconds(self.trace);
            let shorter = leg.distance - least;
            if shorter > leg.own_way(self.trace)
                && let Some(bridge) = self.bridge(leg.from..=leg.to)?
                && bridge.distance < shorter
            {
                self.matched.legs[i] = bridge;
            }
        }
        Ok(())
    }

    /// Looks for legs within a gap.
    fn fill(&mut self, gap: RangeInclusive<usize>) -> Result<(), MatchError> {
        let (from, to) = (*gap.start(), *gap.end());
        let steps = to - from;
        if steps + 1 == self.trace.len() {
            // All of it has been asked about just so.
            return Ok(());
        }
        if (2..=SHORT_GAP).contains(&steps) {
            let mut part = self.trace[gap].to_vec();
            part[0] = self.held(from);
            part[steps] = self.held(to);
            if self.part(from, &part, NO_BOUND)? {
                return Ok(());
            }
        }
        if steps > 2 {
            self.part(from + 1, &self.trace[from + 1..to], LONG_GAP_BOUND)?;
        }
        Ok(())
    }

    /// Asks about a part of the trace; whether that gave legs.
    fn part(
        &mut self,
        offset: usize,
        part: &[Observation],
        detour: f64,
    ) -> Result<bool, MatchError> {
        let found = self.ask(part, detour)?;
        let legs: Vec<MatchedLeg> = found
            .legs
            .into_iter()
            .map(|leg| leg.later(offset))
            .filter(|leg| leg.is_believable(self.trace))
            .collect();
        for (i, snap) in found.snaps.into_iter().enumerate() {
            if snap.is_some() && !self.matched.is_reached(i + offset) {
                self.matched.snaps[i + offset] = snap;
            }
        }
        let any = !legs.is_empty();
        self.matched.add(legs);
        Ok(any)
    }

    /// The shortest road between the places on the road of two observations, whatever the direction at its ends.
    fn bridge(&mut self, gap: RangeInclusive<usize>) -> Result<Option<MatchedLeg>, MatchError> {
        let (from, to) = (*gap.start(), *gap.end());
        let ends = [from, to].map(|i| {
            let place = self.matched.snaps[i].map_or(self.trace[i].place, |snap| snap.place);
            self.trace[i].anchored(place)
        });
        let found = self.ask(&ends, NO_BOUND)?.legs.into_iter().next();
        Ok(found.map(|leg| MatchedLeg { from, to, ..leg }))
    }

    /// An answer, or an empty one where there have been questions enough.
    fn ask(&mut self, part: &[Observation], detour: f64) -> Result<MatchedTrace, MatchError> {
        if self.left == 0 {
            return Ok(MatchedTrace::default());
        }
        self.left -= 1;
        match self.asker.follow_within(part, detour) {
            Err(MatchError::TimedOut) => {
                // What there is without it will do; the server must not be asked more of this.
                self.left = 0;
                Ok(MatchedTrace::default())
            }
            found => found,
        }
    }

    /// The observation, held to its place on the road if a leg reaches it.
    fn held(&self, i: usize) -> Observation {
        let snap = self.matched.snaps[i].filter(|_| self.matched.is_reached(i));
        snap.map_or(self.trace[i], |snap| self.trace[i].anchored(snap.place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{City, trace};

    fn covered(matched: &MatchedTrace) -> Vec<(usize, usize)> {
        matched.legs.iter().map(|leg| (leg.from, leg.to)).collect()
    }

    #[test]
    fn a_round_way_is_replaced_by_the_short_one() {
        let trace = trace(&[(0.0, 0.0), (50.0, 0.0), (150.0, 0.0)]);
        let city = City::default();
        let asker = Asker::new(&city);
        let mut matched = asker.follow(&trace).unwrap();
        matched.legs[1].distance += 400.0;
        repair(&mut matched, &trace, &asker).unwrap();
        assert!((matched.legs[1].distance - 100.0).abs() < 1.0);
    }

    #[test]
    fn what_was_left_out_is_asked_about_alone() {
        let places: Vec<(f64, f64)> = (0..8).map(|i| (60.0 * i as f64, 0.0)).collect();
        let trace = trace(&places);
        let city = City::default();
        let asker = Asker::new(&city);
        let mut matched = asker.follow(&trace).unwrap();
        matched.legs.retain(|leg| leg.from < 2 || leg.from > 4);
        repair(&mut matched, &trace, &asker).unwrap();
        assert_eq!(
            covered(&matched),
            (0..7).map(|i| (i, i + 1)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_slow_server_leaves_what_there_is() {
        let trace = trace(&[(0.0, 0.0), (60.0, 0.0), (120.0, 0.0), (180.0, 0.0)]);
        let quick = City::default();
        let mut matched = Asker::new(&quick).follow(&trace).unwrap();
        matched.legs.remove(1);
        let slow = City {
            slow_size: 1,
            ..City::default()
        };
        repair(&mut matched, &trace, &Asker::new(&slow)).unwrap();
        assert_eq!(covered(&matched), [(0, 1), (2, 3)]);
        assert!(slow.asked.borrow().len() < 10);
    }
}
