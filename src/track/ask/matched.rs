//! What the road network has to say to a trace, and what of it a vehicle can have driven.

use std::ops::RangeInclusive;

use crate::osrm::Refusal;
use crate::track::geo::{self, Place};
use crate::track::model::{Micros, seconds};
use crate::track::recipe::ask::{
    ANCHOR, ASTRAY, ASTRAY_RADIUSES, BESIDE, BESIDE_FARTHEST, BESIDE_SLACK, BESIDE_TIME, DETOUR,
    DETOUR_SLACK, EXCURSION, UNSEEN, UNSEEN_SLACK,
};
use crate::track::vehicle::can_travel;

/// A place of the trace to be matched, and how far around it OSRM may look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    pub time: Micros,
    pub place: Place,
    /// Standard deviation in metres; OSRM looks three times as far.
    pub radius: f64,
    /// The longest silence of the device since the observation before, in seconds.
    pub silence: f64,
    /// So many metres of a detour it may have driven in a second in which nothing was heard of it.
    pub detour_speed: f64,
    /// Where the road under it must lead, in degrees clockwise from north; `None`: anywhere.
    pub course: Option<f64>,
}

impl Observation {
    /// The same instant, held to a place on the road.
    pub fn anchored(self, place: Place) -> Observation {
        Observation {
            place,
            radius: ANCHOR,
            course: None,
            ..self
        }
    }
}

/// Where an observation lies on the road.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snap {
    pub place: Place,
    /// The engine holds the match up to here for final.
    pub is_final: bool,
}

/// The road from one observation to a later one.
#[derive(Debug, Clone, PartialEq)]
pub struct MatchedLeg {
    pub from: usize,
    pub to: usize,
    pub line: Vec<Place>,
    /// Metres along the line.
    pub distance: f64,
    /// OSRM's, of the matching that the leg belongs to.
    pub confidence: f64,
}

impl MatchedLeg {
    /// The same between observations so much farther on.
    pub fn later(self, by: usize) -> MatchedLeg {
        MatchedLeg {
            from: self.from + by,
            to: self.to + by,
            ..self
        }
    }

    /// Metres along the observations that the leg stands for.
    pub fn own_way(&self, trace: &[Observation]) -> f64 {
        way(&trace[self.from..=self.to])
    }

    /// Seconds between the ends.
    pub fn seconds(&self, trace: &[Observation]) -> f64 {
        seconds(trace[self.from].time, trace[self.to].time)
    }

    /// Whether a vehicle that left these observations can have driven here.
    pub fn is_believable(&self, trace: &[Observation]) -> bool {
        let (own, time) = (self.own_way(trace), self.seconds(trace));
        // A detour takes time in which nothing was heard of the vehicle.
        let unseen = time.min(UNSEEN * self.silence(trace) + UNSEEN_SLACK);
        self.distance <= DETOUR * own + DETOUR_SLACK + trace[self.to].detour_speed * unseen
            && can_travel(self.distance, time)
            && !self.leaves_out_an_excursion(trace)
    }

    /// The longest silence of the device on the way, in seconds.
    fn silence(&self, trace: &[Observation]) -> f64 {
        let way = &trace[self.from + 1..=self.to];
        way.iter().map(|o| o.silence).fold(0.0, f64::max)
    }

    /// Whether observations that the leg passes by were driven: they lie astray for too long to be
    /// outliers, and the leg is not just as long as they are.
    fn leaves_out_an_excursion(&self, trace: &[Observation]) -> bool {
        let off = |o: &Observation| geo::distance_to_line(o.place, &self.line);
        let left_out = &trace[self.from + 1..self.to];
        let mut astray = left_out
            .iter()
            .filter(|o| off(o) > ASTRAY + ASTRAY_RADIUSES * o.radius);
        let Some((first, last)) = astray.next().zip(astray.next_back()) else {
            return false;
        };
        let own = self.own_way(trace);
        let beside = (BESIDE.0 * own..=BESIDE.1 * own + BESIDE_SLACK).contains(&self.distance)
            && self.seconds(trace) <= BESIDE_TIME
            && left_out.iter().all(|o| off(o) <= BESIDE_FARTHEST);
        seconds(first.time, last.time) >= EXCURSION && !beside
    }
}

/// Metres along observations.
pub fn way(trace: &[Observation]) -> f64 {
    trace
        .windows(2)
        .map(|o| geo::distance(o[0].place, o[1].place))
        .sum()
}

/// Steps from observation to observation that believable legs cover.
pub fn covered<'a>(legs: impl IntoIterator<Item = &'a MatchedLeg>, trace: &[Observation]) -> usize {
    let good = legs.into_iter().filter(|leg| leg.is_believable(trace));
    good.map(|leg| leg.to - leg.from).sum()
}

/// What the road network has to say to a trace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatchedTrace {
    /// One entry an observation.
    pub snaps: Vec<Option<Snap>>,
    /// Ascending, without overlap.
    pub legs: Vec<MatchedLeg>,
    /// The first refusal, if there was one.
    pub refusal: Option<Refusal>,
}

impl MatchedTrace {
    /// Nothing is known yet of so many observations.
    pub fn unknown(observations: usize) -> MatchedTrace {
        MatchedTrace {
            snaps: vec![None; observations],
            ..MatchedTrace::default()
        }
    }

    /// From observation to observation where no leg leads.
    pub fn gaps(&self) -> Vec<RangeInclusive<usize>> {
        let end = self.snaps.len().saturating_sub(1);
        let legs = self.legs.iter().map(|leg| (leg.from, leg.to));
        let (mut gaps, mut from) = (Vec::new(), 0);
        for (start, stop) in legs.chain([(end, end)]) {
            if from < start {
                gaps.push(from..=start);
            }
            from = stop;
        }
        gaps
    }

    /// Whether a leg begins or ends at an observation.
    pub fn is_reached(&self, i: usize) -> bool {
        self.legs.iter().any(|leg| leg.from == i || leg.to == i)
    }

    /// The place of an observation on the road, if a leg reaches it.
    fn place_on_road(&self, i: usize) -> Option<Place> {
        let after = self.legs.partition_point(|leg| leg.from < i);
        let begins = self.legs.get(after).filter(|leg| leg.from == i);
        let before = after.checked_sub(1).and_then(|k| self.legs.get(k));
        let ends = before.filter(|leg| leg.to == i);
        begins
            .map(|leg| leg.line[0])
            .or(ends.and_then(|leg| leg.line.last().copied()))
    }

    /// Where an observation is drawn: on the road, if a leg reaches it.
    pub fn place(&self, i: usize, trace: &[Observation]) -> Place {
        self.place_on_road(i).unwrap_or(trace[i].place)
    }

    /// The leg that passes an observation by.
    pub fn leg_over(&self, i: usize) -> Option<&MatchedLeg> {
        self.legs.iter().find(|leg| leg.from < i && i < leg.to)
    }

    /// What is known from an observation on, which becomes the first.
    pub fn since(&self, first: usize) -> MatchedTrace {
        let legs = self.legs.iter().filter(|leg| leg.from >= first);
        let moved = |leg: &MatchedLeg| MatchedLeg {
            from: leg.from - first,
            to: leg.to - first,
            ..leg.clone()
        };
        MatchedTrace {
            snaps: self.snaps[first..].to_vec(),
            legs: legs.map(moved).collect(),
            refusal: self.refusal.clone(),
        }
    }

    /// Adds legs where there were none.
    pub fn add(&mut self, legs: impl IntoIterator<Item = MatchedLeg>) {
        self.legs.extend(legs);
        self.legs.sort_by_key(|leg| leg.from);
    }

    /// The legs between the observations `from..=to`.
    pub fn legs_within(&self, from: usize, to: usize) -> impl Iterator<Item = &MatchedLeg> {
        let legs = self.legs.iter();
        legs.filter(move |leg| from <= leg.from && leg.to <= to)
    }

    /// Puts what another says of the observations `from..=to` in the place of what this one says.
    pub fn replace(&mut self, from: usize, to: usize, other: MatchedTrace) {
        self.legs.retain(|l| l.to <= from || to <= l.from);
        let last = self.snaps.len() - 1;
        for (i, snap) in (from..=to).zip(other.snaps) {
            let here = &mut self.snaps[i];
            let meets = (i == from && i > 0) || (i == to && i < last);
            *here = here.filter(|_| meets).or(snap);
        }
        self.add(other.legs.into_iter().map(|leg| leg.later(from)));
    }

    /// Takes over what another, which begins at `offset`, says up to its observation `end`.
    pub fn append(&mut self, other: MatchedTrace, offset: usize, end: usize) {
        for (i, snap) in other.snaps.into_iter().enumerate().take(end + 1) {
            // Where two meet the earlier one has spoken.
            let here = &mut self.snaps[offset + i];
            *here = here.or(snap);
        }
        let legs = other.legs.into_iter().filter(|leg| leg.to <= end);
        self.legs.extend(legs.map(|leg| leg.later(offset)));
        self.refusal = self.refusal.take().or(other.refusal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{leg, trace};

    #[test]
    fn a_long_way_round_is_not_believed() {
        let trace = trace(&[(0.0, 0.0), (150.0, 0.0)]);
        let mut leg = leg(&trace, 0, 1);
        assert!(leg.is_believable(&trace));
        leg.distance = 500.0;
        assert!(!leg.is_believable(&trace));
        leg.distance = 5_000.0;
        assert!(!leg.is_believable(&trace));
    }

    #[test]
    fn a_leg_that_leaves_out_an_excursion_is_not_believed() {
        let trace = trace(&[(0.0, 0.0), (20.0, 90.0), (40.0, 90.0), (60.0, 0.0)]);
        assert!(!leg(&trace, 0, 3).is_believable(&trace));
    }

    #[test]
    fn gaps_lie_where_no_leg_leads() {
        let trace = trace(&[
            (0.0, 0.0),
            (50.0, 0.0),
            (100.0, 0.0),
            (150.0, 0.0),
            (200.0, 0.0),
        ]);
        let mut matched = MatchedTrace::unknown(trace.len());
        assert_eq!(matched.gaps(), [0..=4]);
        matched.add([leg(&trace, 3, 4), leg(&trace, 0, 1)]);
        assert_eq!(matched.gaps(), [1..=3]);
        assert!(matched.is_reached(1) && !matched.is_reached(2));
        assert_eq!(matched.place_on_road(3), Some(trace[3].place));
        assert_eq!(matched.place_on_road(2), None);
    }
}
