//! Asking anew, with a larger radius, about the parts of a trace that are noisier than the rest of it.
//!
//! One radius suits the usual noise. Between high houses, or where a receiver wakes up, some fixes in a row lie
//! several times farther off: with the usual radius their road is not among the candidates.

use super::asker::Asker;
use super::fit::Fitted;
use super::matched::Observation;
use super::price::Price;
use super::relax::{held_part, parts};
use crate::osrm::MatchError;
use crate::track::median;
use crate::track::prepare::Smoothed;
use crate::track::recipe::MEDIAN_TO_DEVIATION;
use crate::track::recipe::ask::{ANCHOR, BOUND, LARGEST_RADIUS, NOISY, NOISY_SIDE, VERY_NOISY};

/// Takes what is found with larger radiuses where all of it can have been driven and it is cheaper.
pub fn widen(fitted: &mut Fitted, fixes: &[Smoothed], asker: &Asker) -> Result<(), MatchError> {
    let mut trace = fitted.trace.clone();
    for (o, needed) in trace.iter_mut().zip(needed_radiuses(fitted)) {
        if o.radius > ANCHOR && needed > NOISY * o.radius {
            o.radius = needed;
        }
    }
    let pairs = trace.iter().zip(&fitted.trace);
    let noisy: Vec<bool> = pairs.map(|(wide, o)| wide.radius > o.radius).collect();
    let mut parts = parts(&trace, &noisy);
    parts.retain(|part| is_worth_it(fitted, &trace, *part));
    if parts.is_empty() {
        return Ok(());
    }
    let price = Price::new(&trace, fixes, fitted.deviation());
    // The ends of the trace are held by its anchors alone.
    let mut free = noisy;
    free[0] = true;
    free[trace.len() - 1] = true;
    for (from, to) in parts {
        let part = held_part(&trace, &fitted.matched, &free, (from, to));
        let found = match asker.follow(&part, BOUND) {
            Err(MatchError::TimedOut) => continue,
            found => found?,
        };
        if !found.legs.iter().all(|leg| leg.is_believable(&part)) {
            continue;
        }
        let mut other = fitted.matched.clone();
        other.replace(from, to, found);
        if price.of_part(&other, from, to) <= price.of_part(&fitted.matched, from, to) {
            fitted.matched = other;
            fitted.trace[from..=to].copy_from_slice(&trace[from..=to]);
        }
    }
    Ok(())
}

/// Whether larger radiuses may find something else in a part: an observation found no road, no vehicle can have driven
/// a leg, or the noise is much more than was thought. To ask about all parts costs twice as much, for little.
fn is_worth_it(fitted: &Fitted, wide: &[Observation], (from, to): (usize, usize)) -> bool {
    let Fitted { trace, matched, .. } = fitted;
    let more = |i: usize| wide[i].radius / trace[i].radius;
    let is_wrong = |i| more(i) > 1.0 && matched.snaps[i].is_none() || more(i) >= VERY_NOISY;
    let mut legs = matched.legs_within(from, to);
    (from..=to).any(is_wrong) || legs.any(|leg| !leg.is_believable(trace))
}

/// The radius that each observation needs, by how far it and those around it lie off their road.
fn needed_radiuses(fitted: &Fitted) -> Vec<f64> {
    let off = fitted.distances();
    let around = |i: usize| {
        let near = i.saturating_sub(NOISY_SIDE)..(i + NOISY_SIDE + 1).min(off.len());
        let usual = median(&mut off[near].to_vec()).unwrap_or(0.0);
        (usual / MEDIAN_TO_DEVIATION).min(LARGEST_RADIUS)
    };
    (0..off.len()).map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{City, fixes_at, trace};

    /// What is found along a street where some observations lie so many metres beside it, and what was asked for that.
    fn widened(beside: std::ops::Range<usize>, metres: f64) -> (Fitted, City, usize) {
        let city = City::default();
        let asker = Asker::new(&city);
        let place = |i| {
            (
                50.0 + 100.0 * i as f64,
                if beside.contains(&i) { metres } else { 0.0 },
            )
        };
        let trace = trace(&(0..40).map(place).collect::<Vec<_>>());
        let fixes = fixes_at(&trace);
        let matched = asker.follow(&trace, BOUND).unwrap();
        let mut fitted = Fitted {
            trace,
            matched,
            radius: 5.0,
            unmapped: Vec::new(),
        };
        let before = city.asked.borrow().len();
        widen(&mut fitted, &fixes, &asker).unwrap();
        let asked = city.asked.borrow().len() - before;
        (fitted, city, asked)
    }

    #[test]
    fn noisy_ones_in_a_row_are_asked_about_with_a_larger_radius() {
        let (fitted, city, asked) = widened(0..6, 30.0);
        assert_eq!(asked, 1);
        assert!(fitted.matched.snaps.iter().all(Option::is_some));
        assert_eq!(
            (fitted.trace[2].radius, fitted.trace[20].radius),
            (25.0, 5.0)
        );
        let part = city.asked.borrow().last().unwrap().points.len();
        assert!((8..20).contains(&part), "{part}");
    }

    #[test]
    fn a_single_one_is_not_nor_are_those_that_fit() {
        assert_eq!(widened(20..21, 30.0).2, 0);
        assert_eq!(widened(0..40, 4.0).2, 0);
    }
}
