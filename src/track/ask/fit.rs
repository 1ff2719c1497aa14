//! How far OSRM should look around each fix, found out by asking.
//!
//! The radius is what decides about a match: too small and the road is not among the candidates,
//! too large and noise drives into every side street, at a cost that grows with its fourth power.
//! The standard deviation of the fixes is the best one.
//! How far fixes lie off the road can only be known from the road itself, for the errors of real
//! receivers change slowly and hide from every look at the fixes alone. So we begin with a small
//! radius, look how far off the road the fixes came to lie, and ask once more if that was too much.

use std::ops::RangeInclusive;

use super::asker::Asker;
use super::matched::{MatchedTrace, Observation, Snap, covered};
use super::relax;
use crate::osrm::MatchError;
use crate::track::geo;
use crate::track::median;
use crate::track::model::{Micros, seconds};
use crate::track::prepare::{Smoothed, Thinned};
use crate::track::recipe::ask::{
    ANCHOR, BOUND, CLEAN, DENSE_RADIUSES, DETOUR_HASTE, DETOUR_SPEED, ENOUGH, LARGEST_RADIUS,
    LEAST_DETOUR_SPEED, NOT_FOUND, SPARSE, SPARSE_RADIUSES,
};
use crate::track::recipe::{Bounds, MEDIAN_TO_DEVIATION, onward};

/// A trace with the radius that suits it and what was matched.
pub struct Fitted {
    pub trace: Vec<Observation>,
    pub matched: MatchedTrace,
    pub radius: f64,
    /// The gaps where the map has no road, once that was asked.
    pub unmapped: Vec<RangeInclusive<usize>>,
}

/// Which ends of a trace lie on the road already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anchors {
    pub first: bool,
    pub last: bool,
}

/// The radius for fixes of this standard deviation.
fn radius_for(deviation: f64, (smallest, largest): Bounds) -> f64 {
    if deviation < CLEAN {
        return smallest;
    }
    deviation.clamp(smallest, largest)
}

/// The smallest and the largest radius that suit fixes of these times, ascending.
fn bounds(times: impl Iterator<Item = Micros> + Clone) -> Bounds {
    let mut steps: Vec<f64> = (times.clone().zip(times.skip(1)))
        .map(|(from, to)| seconds(from, to))
        .collect();
    match median(&mut steps) {
        Some(step) if step >= SPARSE => SPARSE_RADIUSES,
        _ => DENSE_RADIUSES,
    }
}

/// What the fixes themselves say about the radius to begin with.
pub fn first_radius(points: &[Smoothed]) -> f64 {
    radius_for(deviation(points), bounds(points.iter().map(|p| p.time)))
}

/// The usual deviation of fixes as far as they tell, in metres.
fn deviation(points: &[Smoothed]) -> f64 {
    let mut known: Vec<f64> = points.iter().filter_map(|p| p.deviation).collect();
    median(&mut known).unwrap_or(0.0)
}

/// Asks with the radius that is thought to be right, and once more if it was not.
pub fn fit(
    thinned: &Thinned,
    anchors: Anchors,
    first: f64,
    asker: &Asker,
) -> Result<Fitted, MatchError> {
    let fitted = ask(thinned, anchors, first, asker)?;
    if fitted.fits() {
        return Ok(fitted);
    }
    let again = ask(thinned, anchors, fitted.better_radius(), asker)?;
    let covered = |fitted: &Fitted| covered(&fitted.matched.legs, &fitted.trace);
    Ok(if covered(&again) < covered(&fitted) {
        fitted
    } else {
        again
    })
}

/// Asks within a narrow bound to detours, and once more if the radius was not right: the greater part of
/// what [`fit`] finds for the smaller part of its price.
pub fn fit_roughly(thinned: &Thinned, asker: &Asker) -> Result<Fitted, MatchError> {
    let ask = |radius| {
        let trace = observations(thinned, Anchors::default(), radius);
        let asked = directed(&trace, thinned);
        asker.follow(&asked, onward::BOUND).map(|matched| Fitted {
            trace,
            matched,
            radius,
            unmapped: Vec::new(),
        })
    };
    let fitted = ask(deviation(&thinned.kept).clamp(onward::RADIUSES.0, onward::RADIUSES.1))?;
    match fitted.fits() {
        true => Ok(fitted),
        false => ask(fitted.better_radius()),
    }
}

/// Asks with one radius, and with no bound to detours where the fixes do not fit what is found.
pub fn ask(
    thinned: &Thinned,
    anchors: Anchors,
    radius: f64,
    asker: &Asker,
) -> Result<Fitted, MatchError> {
    let trace = observations(thinned, anchors, radius);
    let matched = asker.follow(&directed(&trace, thinned), BOUND)?;
    let fitted = Fitted {
        trace,
        matched,
        radius,
        unmapped: Vec::new(),
    };
    match relax::relax(&fitted.trace, &fitted.matched, fitted.deviation(), asker) {
        Ok(Some(matched)) => Ok(Fitted { matched, ..fitted }),
        Ok(None) | Err(MatchError::TimedOut) => Ok(fitted),
        Err(error) => Err(error),
    }
}

/// The fixes as they are asked about: those that are noisier than usual with a larger radius.
pub fn observations(thinned: &Thinned, anchors: Anchors, radius: f64) -> Vec<Observation> {
    let mut all = thinned.all.iter().peekable();
    let (mut last, detour_speed) = (None, detour_speed(&thinned.kept));
    let noisy = ENOUGH * deviation(&thinned.kept);
    let mut observation = |p: &Smoothed| {
        let mut silence = 0.0f64;
        while let Some(fix) = all.next_if(|fix| fix.time <= p.time) {
            silence = silence.max(last.map_or(0.0, |last| seconds(last, fix.time)));
            last = Some(fix.time);
        }
        Observation {
            time: p.time,
            place: p.place,
            radius: match p.deviation {
                Some(metres) if metres > noisy => radius.max(metres.min(LARGEST_RADIUS)),
                _ => radius,
            },
            silence,
            detour_speed,
            course: None,
        }
    };
    let mut trace: Vec<Observation> = thinned.kept.iter().map(&mut observation).collect();
    if let (true, Some(first)) = (anchors.first, trace.first_mut()) {
        first.radius = ANCHOR;
    }
    if let (true, Some(last)) = (anchors.last, trace.last_mut()) {
        last.radius = ANCHOR;
    }
    trace
}

/// How fast a vehicle with these fixes may have driven a detour unseen, in m/s: who is slow does not hurry then.
fn detour_speed(points: &[Smoothed]) -> f64 {
    let steps = || points.windows(2);
    let way: f64 = steps().map(|w| geo::distance(w[0].place, w[1].place)).sum();
    let time: f64 = steps().map(|w| seconds(w[0].time, w[1].time)).sum();
    (DETOUR_HASTE * way / time.max(1.0) + LEAST_DETOUR_SPEED).min(DETOUR_SPEED)
}

/// The trace with the courses that are believed, but where it is held to a place. It is asked about so once: where
/// that goes astray, all roads are looked at.
fn directed(trace: &[Observation], thinned: &Thinned) -> Vec<Observation> {
    let direct = |(o, fix): (&Observation, &Smoothed)| Observation {
        course: fix.course.filter(|_| o.radius > ANCHOR),
        ..*o
    };
    trace.iter().zip(&thinned.kept).map(direct).collect()
}

impl Fitted {
    /// Standard deviation of the fixes off the road, from its median.
    pub fn deviation(&self) -> f64 {
        let off = self.trace.iter().zip(self.distances());
        let mut off: Vec<f64> = off
            .filter(|(o, _)| o.radius > ANCHOR)
            .map(|(_, metres)| metres)
            .collect();
        median(&mut off).map_or(0.0, |median| median / MEDIAN_TO_DEVIATION)
    }

    /// How far each observation lies from its place on the road, in metres. One that found no road lies beyond what was
    /// looked at.
    pub fn distances(&self) -> Vec<f64> {
        let snaps = self.trace.iter().zip(&self.matched.snaps);
        let off = |(o, snap): (&Observation, &Option<Snap>)| match snap {
            Some(snap) => geo::distance(snap.place, o.place),
            None => NOT_FOUND * o.radius,
        };
        snaps.map(off).collect()
    }

    /// Whether the radius was large enough for what it showed.
    pub fn fits(&self) -> bool {
        self.better_radius() <= self.radius * ENOUGH
    }

    /// The radius for fixes as far off the road as these.
    pub fn better_radius(&self) -> f64 {
        let times = self.trace.iter().map(|o| o.time);
        radius_for(self.deviation(), bounds(times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::ask::MatchedLeg;
    use crate::track::model::SECOND;
    use crate::track::recipe::ask::DETOUR;
    use crate::track::tests::city::{City, START, fix, leg};

    fn points(off: f64) -> Thinned {
        let kept: Vec<Smoothed> = (0..20)
            .map(|i| {
                let f = fix(10.0 * i as f64, 25.0 + 35.0 * i as f64, off);
                Smoothed {
                    time: f.time,
                    place: f.place(),
                    deviation: None,
                    course: None,
                }
            })
            .collect();
        Thinned {
            all: kept.clone(),
            kept,
        }
    }

    fn fitted(off: f64) -> (f64, usize) {
        let city = City::default();
        let fitted = fit(
            &points(off),
            Anchors::default(),
            DENSE_RADIUSES.0,
            &Asker::new(&city),
        )
        .unwrap();
        (fitted.radius, city.asked.borrow().len())
    }

    #[test]
    fn who_is_noisier_than_usual_is_looked_around_farther() {
        let mut noisy = points(0.0);
        let radiuses = |thinned: &Thinned| -> Vec<f64> {
            let trace = observations(thinned, Anchors::default(), 8.0);
            trace.iter().map(|o| o.radius).collect()
        };
        for (i, p) in noisy.kept.iter_mut().enumerate() {
            p.deviation = Some(match i {
                5 => 18.0,
                6 => 90.0,
                _ => 3.0,
            });
        }
        let found = radiuses(&noisy);
        assert_eq!(found[4..8], [8.0, 18.0, LARGEST_RADIUS, 8.0]);
        // Where all are, one radius for all has been found.
        noisy.kept.iter_mut().for_each(|p| p.deviation = Some(18.0));
        assert_eq!(radiuses(&noisy), [8.0; 20]);
    }

    #[test]
    fn who_walks_has_no_time_for_a_detour_that_who_drives_has() {
        let leg_is_believed = |metres: f64| {
            let moved = |(i, p): (usize, &Smoothed)| Smoothed {
                time: START + 60 * SECOND * i as Micros,
                place: fix(0.0, metres * i as f64, 0.0).place(),
                ..*p
            };
            let kept: Vec<Smoothed> = points(0.0).kept.iter().enumerate().map(moved).collect();
            let all = kept.clone();
            let trace = observations(&Thinned { kept, all }, Anchors::default(), 8.0);
            let detour = MatchedLeg {
                distance: 400.0 + DETOUR * metres,
                ..leg(&trace, 3, 4)
            };
            detour.is_believable(&trace)
        };
        assert!(!leg_is_believed(70.0));
        assert!(leg_is_believed(500.0));
    }

    #[test]
    fn clean_fixes_are_asked_about_once_and_near() {
        assert_eq!(fitted(0.5), (DENSE_RADIUSES.0, 1));
    }

    #[test]
    fn noisy_ones_again_and_farther() {
        let (radius, calls) = fitted(12.0);
        assert!(radius > 10.0 && radius <= DENSE_RADIUSES.1, "{radius}");
        assert!(calls <= 3);
    }

    #[test]
    fn the_radius_is_bounded() {
        assert_eq!(radius_for(1e9, (5.0, 15.0)), 15.0);
        assert_eq!(radius_for(0.0, (5.0, 15.0)), 5.0);
    }
}
