//! What a way costs that a vehicle may have gone: how far its fixes lie off, how much longer or
//! shorter it is than theirs, and what no vehicle does.

use super::matched::{MatchedLeg, MatchedTrace, Observation};
use crate::track::geo::{self, Place};
use crate::track::model::Micros;
use crate::track::prepare::Smoothed;
use crate::track::recipe::ask::{
    BACK, BEYOND, DISBELIEF, LEAST_OFF, MOST_OFF, OUTLIER, RAW_BEGINS, RAW_STEP, TURN_BACK,
    WEIGHT_STEP,
};

/// What ways between some observations cost.
pub struct Price<'a> {
    trace: &'a [Observation],
    fixes: &'a [Smoothed],
    /// Of each fix, by how far the vehicle came since the one before it.
    weights: Vec<f64>,
    /// Standard deviation of each fix, metres.
    off: Vec<f64>,
}

impl<'a> Price<'a> {
    /// `fixes` are all those that the observations stand for, `off` is their usual standard deviation in
    /// metres; those that were asked about with a larger radius have that.
    pub fn new(trace: &'a [Observation], fixes: &'a [Smoothed], off: f64) -> Self {
        let step = |i: usize| match i {
            0 => 0.0,
            _ => geo::distance(fixes[i - 1].place, fixes[i].place),
        };
        let weights = (0..fixes.len()).map(|i| (step(i) / WEIGHT_STEP).min(1.0));
        let off = |fix: &Smoothed| {
            let asked = trace.partition_point(|o| o.time < fix.time);
            let radius = trace.get(asked).map_or(0.0, |o| o.radius);
            off.max(radius).clamp(LEAST_OFF, MOST_OFF)
        };
        Price {
            trace,
            fixes,
            weights: weights.collect(),
            off: fixes.iter().map(off).collect(),
        }
    }

    pub fn of_leg(&self, leg: &MatchedLeg) -> f64 {
        let until = |time: Micros| self.fixes.partition_point(|f| f.time <= time);
        let from = until(self.trace[leg.from].time);
        let to = until(self.trace[leg.to].time);
        let off = |i: usize| {
            let d = geo::distance_to_line(self.fixes[i].place, &leg.line) / self.off[i];
            // Cauchy's loss: a single outlier has no say.
            self.weights[i] * OUTLIER * (d * d / (2.0 * OUTLIER)).ln_1p()
        };
        let away: f64 = (from..to).map(off).sum();
        let beyond = (leg.distance - leg.own_way(self.trace)).abs() / BEYOND;
        let believed = leg.is_believable(self.trace);
        let disbelief = if believed { 0.0 } else { DISBELIEF };
        away + beyond + disbelief + BACK * turns_back(&leg.line) as f64
    }

    /// Of a straight line from an observation to the next one, beside what its beginning costs.
    pub fn of_straight(&self, from: usize) -> f64 {
        let metres = geo::distance(self.trace[from].place, self.trace[from + 1].place);
        RAW_STEP * metres / WEIGHT_STEP
    }

    /// Of what a match says of the observations `from..=to`, straight lines where it says nothing.
    pub fn of_part(&self, matched: &MatchedTrace, from: usize, to: usize) -> f64 {
        let straight = |gap: std::ops::RangeInclusive<usize>| {
            let gap = (*gap.start()).max(from)..(*gap.end()).min(to);
            let begins = if gap.is_empty() { 0.0 } else { RAW_BEGINS };
            begins + gap.map(|i| self.of_straight(i)).sum::<f64>()
        };
        let gaps = matched.gaps().into_iter().map(straight);
        let legs = matched.legs_within(from, to);
        legs.map(|leg| self.of_leg(leg)).sum::<f64>() + gaps.sum::<f64>()
    }
}

/// How often a line turns back on itself.
fn turns_back(line: &[Place]) -> usize {
    let back = |w: &&[Place]| geo::turn(w[0], w[1], w[2]).is_some_and(|turn| turn > TURN_BACK);
    line.windows(3).filter(back).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{fixes_at, leg, trace};

    #[test]
    fn a_way_costs_what_its_fixes_say() {
        let trace = trace(&[(0.0, 0.0), (60.0, 0.0), (120.0, 0.0)]);
        let fixes = fixes_at(&trace);
        let price = Price::new(&trace, &fixes, 6.0);
        let fits = leg(&trace, 0, 2);
        assert!(price.of_leg(&fits) < 0.01);
        let longer = MatchedLeg {
            distance: 160.0,
            ..fits.clone()
        };
        assert!((price.of_leg(&longer) - 40.0 / BEYOND).abs() < 0.01);
        let mut beside = fits.clone();
        beside.line.iter_mut().for_each(|place| place[1] += 0.0002);
        assert!(price.of_leg(&beside) > 2.0);
        let mut matched = MatchedTrace::unknown(3);
        let raw = RAW_BEGINS + RAW_STEP * 120.0 / WEIGHT_STEP;
        assert!((price.of_part(&matched, 0, 2) - raw).abs() < 0.01);
        matched.add([fits]);
        assert!(price.of_part(&matched, 0, 2) < 0.01);
    }

    #[test]
    fn a_turn_back_is_counted_and_a_bend_is_not() {
        let line = trace(&[(0.0, 0.0), (50.0, 0.0), (10.0, 1.0), (10.0, 40.0)]);
        let line: Vec<Place> = line.iter().map(|o| o.place).collect();
        assert_eq!(turns_back(&line), 1);
    }
}
