//! Asking anew where OSRM went astray.
//!
//! OSRM never turns round between two fixes and drives round the block instead; asked about the
//! two ends alone it is free to. Where it sees no connection it leaves out up to ten fixes as if
//! they were noise; they match if they are asked about alone, or with no bound to detours.

use std::ops::RangeInclusive;

use super::asker::Asker;
use super::fit::Fitted;
use super::matched::{MatchedLeg, MatchedTrace, Observation};
use super::price::Price;
use crate::osrm::MatchError;
use crate::track::geo;
use crate::track::prepare::Smoothed;
use crate::track::recipe::ask::{
    ANCHOR, AROUND, AROUND_RADIUS, ENOUGH, LARGEST_RADIUS, LONG_GAP_BOUND, MOST_QUESTIONS,
    NO_BOUND, OTHER_RADIUS, ROUND, ROUND_SPEED, SHORT_GAP, TIP, TIP_RADIUSES,
};

/// Leaves only believable legs in a match, and adds what asking anew finds.
pub fn repair(fitted: &mut Fitted, fixes: &[Smoothed], asker: &Asker) -> Result<(), MatchError> {
    let off = fitted.deviation();
    let Fitted {
        trace,
        matched,
        radius,
        ..
    } = fitted;
    let trace = trace.as_slice();
    let mut repair = Repair {
        matched,
        trace,
        radius: *radius,
        price: Price::new(trace, fixes, off),
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
    repair.turn_at_tips()?;
    for gap in repair.matched.gaps() {
        repair.ask_around(gap)?;
    }
    Ok(())
}

struct Repair<'a> {
    matched: &'a mut MatchedTrace,
    trace: &'a [Observation],
    /// That of the observations, in metres.
    radius: f64,
    price: Price<'a>,
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

    /// Looks for ways that turn round at the tip of what a leg, or a straight line, leaves out.
    fn turn_at_tips(&mut self) -> Result<(), MatchError> {
        let leaving_out = self.matched.legs.iter().filter(|l| l.from + 1 < l.to);
        let legs = leaving_out.map(|l| (l.from, l.to, l.line.clone()));
        let straight = |i: usize| self.matched.place(i, self.trace);
        let gaps = self.matched.gaps().into_iter().map(|gap| {
            let (from, to) = gap.into_inner();
            (from, to, vec![straight(from), straight(to)])
        });
        for (from, to, line) in legs.chain(gaps).collect::<Vec<_>>() {
            let off = |i: &usize| geo::distance_to_line(self.trace[*i].place, &line);
            let tip = (from + 1..to).max_by(|a, b| off(a).total_cmp(&off(b)));
            let Some(tip) = tip.filter(|i| off(i) > TIP + TIP_RADIUSES * self.trace[*i].radius)
            else {
                continue;
            };
            let Some(found) = self.turn_at(from, tip, to)? else {
                continue;
            };
            let mut turned = self.matched.clone();
            turned.replace(from, to, found);
            let price = |matched| self.price.of_part(matched, from, to);
            if price(&turned) < price(self.matched) {
                *self.matched = turned;
            }
        }
        Ok(())
    }

    /// The way from one observation to another that turns round at a third between them.
    fn turn_at(
        &mut self,
        from: usize,
        tip: usize,
        to: usize,
    ) -> Result<Option<MatchedTrace>, MatchError> {
        let mut part = self.trace[from..=to].to_vec();
        let last = part.len() - 1;
        part[0] = self.held(from);
        part[last] = self.held(to);
        let middle = tip - from;
        let out = self.ask(&part[..=middle], LONG_GAP_BOUND)?;
        let Some(turn) = out.snaps.get(middle).copied().flatten() else {
            return Ok(None);
        };
        part[middle] = part[middle].anchored(turn.place);
        let back = self.ask(&part[middle..], LONG_GAP_BOUND)?;
        if back.snaps.is_empty() {
            return Ok(None);
        }
        let mut found = MatchedTrace::unknown(part.len());
        found.append(out, 0, middle);
        found.append(back, middle, last - middle);
        Ok(Some(found))
    }

    /// Looks for another way in ever larger parts around a gap.
    fn ask_around(&mut self, gap: RangeInclusive<usize>) -> Result<(), MatchError> {
        let wider = AROUND_RADIUS * self.radius;
        for margin in AROUND {
            let (from, to) = self.around(&gap, margin);
            if self.replace_around(&gap, (from, to), wider)? {
                return Ok(());
            }
            if (from, to) == (0, self.trace.len() - 1) {
                break;
            }
        }
        if wider * ENOUGH < OTHER_RADIUS {
            let least = self.around(&gap, AROUND[0]);
            self.replace_around(&gap, least, OTHER_RADIUS)?;
        }
        Ok(())
    }

    /// A gap and so many observations to each side.
    fn around(&self, gap: &RangeInclusive<usize>, margin: usize) -> (usize, usize) {
        let end = self.trace.len() - 1;
        let from = gap.start().saturating_sub(margin);
        (from, (gap.end() + margin).min(end))
    }

    /// Asks about a part around a gap, held to the road where it reaches beyond that, with a radius; whether all of what
    /// that found can have been driven, and is taken.
    fn replace_around(
        &mut self,
        gap: &RangeInclusive<usize>,
        (from, to): (usize, usize),
        radius: f64,
    ) -> Result<bool, MatchError> {
        let mut part: Vec<Observation> = self.trace[from..=to].to_vec();
        for o in part.iter_mut().filter(|o| o.radius > ANCHOR) {
            o.radius = o.radius.max(radius.min(LARGEST_RADIUS));
        }
        let last = part.len() - 1;
        if from < *gap.start() {
            part[0] = self.held(from);
        }
        if to > *gap.end() {
            part[last] = self.held(to);
        }
        let found = self.ask(&part, LONG_GAP_BOUND)?;
        let driven = found.legs.iter().all(|leg| leg.is_believable(&part));
        let whole = driven && !found.legs.is_empty() && found.gaps().is_empty();
        if whole {
            self.matched.replace(from, to, found);
        }
        Ok(whole)
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
    use crate::track::recipe::ask::BOUND;
    use crate::track::tests::city::{City, fixes_at, trace};

    fn legs(matched: &MatchedTrace) -> Vec<(usize, usize)> {
        matched.legs.iter().map(|leg| (leg.from, leg.to)).collect()
    }

    /// What is left of a match after `spoil` and a repair.
    fn repaired(
        trace: &[Observation],
        spoil: impl Fn(&mut MatchedTrace),
        server: &City,
    ) -> MatchedTrace {
        let fixes = fixes_at(trace);
        let mut fitted = Fitted {
            trace: trace.to_vec(),
            matched: Asker::new(&City::default()).follow(trace, BOUND).unwrap(),
            radius: 5.0,
            unmapped: Vec::new(),
        };
        spoil(&mut fitted.matched);
        repair(&mut fitted, &fixes, &Asker::new(server)).unwrap();
        fitted.matched
    }

    fn street(observations: usize) -> Vec<Observation> {
        let places: Vec<(f64, f64)> = (0..observations).map(|i| (60.0 * i as f64, 0.0)).collect();
        trace(&places)
    }

    #[test]
    fn a_round_way_is_replaced_by_the_short_one() {
        let trace = trace(&[(0.0, 0.0), (50.0, 0.0), (150.0, 0.0)]);
        let round = |m: &mut MatchedTrace| m.legs[1].distance += 400.0;
        let matched = repaired(&trace, round, &City::default());
        assert!((matched.legs[1].distance - 100.0).abs() < 1.0);
    }

    #[test]
    fn what_was_left_out_is_asked_about_alone() {
        let trace = street(8);
        let gap = |m: &mut MatchedTrace| m.legs.retain(|leg| leg.from < 2 || leg.from > 4);
        let matched = repaired(&trace, gap, &City::default());
        assert_eq!(
            legs(&matched),
            (0..7).map(|i| (i, i + 1)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_turn_that_a_leg_leaves_out_is_driven() {
        // Into a side street and back, which the answer passes by.
        let trace = trace(&[
            (40.0, 0.0),
            (100.0, 0.0),
            (100.0, 45.0),
            (100.0, 0.0),
            (160.0, 0.0),
        ]);
        let passed_by = |m: &mut MatchedTrace| {
            m.legs.retain(|leg| leg.from == 0 || leg.from == 3);
            m.add([crate::track::tests::city::leg(&trace, 1, 3)]);
        };
        let matched = repaired(&trace, passed_by, &City::default());
        assert_eq!(legs(&matched), [(0, 1), (1, 2), (2, 3), (3, 4)]);
    }

    #[test]
    fn what_lies_far_off_the_road_is_asked_about_with_a_wide_radius_at_last() {
        let beside = |off: f64| {
            let places = [(50.0, off), (150.0, off), (250.0, 0.0), (350.0, 0.0)];
            legs(&repaired(&trace(&places), |_| (), &City::default()))
        };
        assert_eq!(beside(40.0), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(beside(49.0), [(2, 3)]);
    }

    #[test]
    fn a_slow_server_leaves_what_there_is() {
        let slow = City {
            slow_size: 1,
            ..City::default()
        };
        let gap = |m: &mut MatchedTrace| drop(m.legs.remove(1));
        let matched = repaired(&street(4), gap, &slow);
        assert_eq!(legs(&matched), [(0, 1), (2, 3)]);
        assert!(slow.asked.borrow().len() < 10);
    }
}
