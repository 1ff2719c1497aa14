//! How noisy fixes are, by what is told about them and by what they show themselves.

use crate::track::geo::{self, Plane};
use crate::track::median;
use crate::track::model::{Fix, seconds};
use crate::track::recipe::prepare::{
    BEND, FEWEST_TRIPLES, LEAST_CHORD, LEAST_NOISE, LEAST_SCATTER, LONGEST_STEP, MOST_NOISE,
    RESTART, SCATTER_FACTOR, SCATTER_SIDE, SWERVE,
};
use crate::track::recipe::{MEDIAN_DISTANCE, MEDIAN_TO_DEVIATION, Recipe};
use crate::track::vehicle::can_travel;

/// Whether one fix tells of the next: neither a silence nor a jump parts them. A jump that a pause of the receiver explains
/// does not, any other one would bend what lies on both sides.
pub fn goes_on(a: &Fix, b: &Fix) -> bool {
    let metres = geo::distance(a.place(), b.place());
    seconds(a.time, b.time) <= RESTART && can_travel(metres, RESTART)
}

/// Standard deviation of each fix in metres: by report, by setting or by estimate, and not less than what the road told
/// (`hidden`), nor than how the fixes around it scatter; `None` where nothing is known.
pub fn deviations(fixes: &[Fix], recipe: &Recipe, hidden: Option<f64>) -> Vec<Option<f64>> {
    let scatter: Vec<f64> = fixes.chunk_by(goes_on).flat_map(scatter).collect();
    let typical = median(&mut scatter.clone()).filter(|metres| *metres > LEAST_SCATTER);
    let usual = recipe
        .gps_accuracy
        .or_else(|| shown_noise(fixes))
        .or(typical);
    let known = |fix: &Fix| {
        let told = fix.accuracy.or(usual);
        told.into_iter().chain(hidden).reduce(f64::max)
    };
    let scattered = |(fix, scatter): (&Fix, f64)| {
        let least = (SCATTER_FACTOR * known(fix).unwrap_or(0.0)).max(LEAST_SCATTER);
        (scatter > least).then_some(scatter)
    };
    let scattered: Vec<Option<f64>> = fixes.iter().zip(scatter).map(scattered).collect();
    // Fixes of which nothing is known are good ones beside those that scatter.
    let good = (scattered.iter().any(Option::is_some)).then_some(LEAST_NOISE);
    let deviation = |(fix, scattered): (&Fix, &Option<f64>)| {
        let deviation = scattered.or(known(fix)).or(good);
        deviation.map(|metres| metres.clamp(LEAST_NOISE / 2.0, MOST_NOISE))
    };
    fixes.iter().zip(&scattered).map(deviation).collect()
}

/// Standard deviation of the fixes in metres, from how far each lies off the line between its
/// neighbours; `None` where too few fixes are near enough in time to tell.
fn shown_noise(fixes: &[Fix]) -> Option<f64> {
    let mut off: Vec<f64> = fixes.windows(3).filter_map(off_neighbours).collect();
    if off.len() < FEWEST_TRIPLES {
        return None;
    }
    // Median absolute deviation to standard deviation; the line between two noisy neighbours
    // adds half a variance.
    let median = median(&mut off)?;
    Some((median / MEDIAN_TO_DEVIATION / 1.5f64.sqrt()).clamp(LEAST_NOISE, MOST_NOISE))
}

fn off_neighbours(triple: &[Fix]) -> Option<f64> {
    let step = |a: &Fix, b: &Fix| seconds(a.time, b.time) <= LONGEST_STEP;
    if !step(&triple[0], &triple[1]) || !step(&triple[1], &triple[2]) {
        return None;
    }
    let plane = Plane::at(triple[1].place());
    let (a, b) = (
        plane.project(triple[0].place()),
        plane.project(triple[2].place()),
    );
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let chord = dx.hypot(dy);
    // Standing still has no direction to be off from.
    (chord > LEAST_CHORD).then(|| (a[0] * dy - a[1] * dx).abs() / chord)
}

/// A fix beside its neighbours.
struct Triple {
    /// How far it lies from where it would be had the vehicle kept its speed and direction, in metres squared.
    off: f64,
    /// The same for a vehicle that gathers speed, or turns, by 1 m/s².
    driven: f64,
    /// The variance of noise in one direction shows in `off` so many times.
    noise: f64,
    turns_left: bool,
}

impl Triple {
    fn new(before: &Fix, fix: &Fix, after: &Fix) -> Triple {
        let (come, leave) = (
            seconds(before.time, fix.time),
            seconds(fix.time, after.time),
        );
        let plane = Plane::at(fix.place());
        let (a, b) = (plane.project(before.place()), plane.project(after.place()));
        let share = come / (come + leave);
        let off = [0, 1].map(|k| a[k] + share * (b[k] - a[k]));
        Triple {
            off: off[0].powi(2) + off[1].powi(2),
            driven: (come * leave / 2.0).powi(2),
            noise: 1.0 + share.powi(2) + (1.0 - share).powi(2),
            turns_left: a[1] * b[0] > a[0] * b[1],
        }
    }

    /// The variance that is left where a vehicle changes its speed by so many m/s².
    fn scatter(&self, change: f64) -> f64 {
        ((self.off - change.powi(2) * self.driven) / self.noise).max(0.0)
    }
}

/// By how much the fixes around each one go to and fro beyond what a vehicle does, as a standard deviation in metres; 0
/// where they do not. Noise of a few fixes shows here which the usual one of all of them does not tell of.
fn scatter(run: &[Fix]) -> Vec<f64> {
    let triples: Vec<Triple> = (run.windows(3))
        .map(|fixes| Triple::new(&fixes[0], &fixes[1], &fixes[2]))
        .collect();
    let around = |i: usize| {
        // The triple that a fix is the middle of is the one before it by number.
        let from = i.saturating_sub(SCATTER_SIDE + 1);
        let near = &triples[from..(i + SCATTER_SIDE).min(triples.len())];
        if near.len() <= SCATTER_SIDE {
            return 0.0;
        }
        let is_swerve = |t: &Triple, left| t.turns_left == left && t.scatter(SWERVE) > 0.0;
        let swerves = |left| near.iter().any(|t| is_swerve(t, left));
        let change = match swerves(true) && swerves(false) {
            true => SWERVE,
            false => BEND,
        };
        let mut scatter: Vec<f64> = near.iter().map(|t| t.scatter(change)).collect();
        median(&mut scatter).map_or(0.0, |variance| variance.sqrt() / MEDIAN_DISTANCE)
    };
    (0..run.len()).map(around).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{fix, recipe};

    /// A drive to the east at 10 m/s, a fix each five seconds.
    fn drive() -> Vec<Fix> {
        (0..60)
            .map(|i| fix(5.0 * i as f64, 50.0 * i as f64, 0.0))
            .collect()
    }

    fn deviations_of(fixes: &[Fix]) -> Vec<Option<f64>> {
        deviations(fixes, &recipe(300), None)
    }

    #[test]
    fn some_noisy_fixes_stand_out() {
        let mut fixes = drive();
        for (i, (x, y)) in [
            (30, (40.0, 30.0)),
            (31, (-20.0, -50.0)),
            (32, (10.0, 40.0)),
            (33, (-40.0, 0.0)),
        ] {
            fixes[i] = fix(5.0 * i as f64, 50.0 * i as f64 + x, y);
        }
        let found = deviations_of(&fixes);
        assert!(
            found[30..=33].iter().all(|d| d.unwrap() > 20.0),
            "{found:?}"
        );
        let good = found[..28].iter().chain(&found[36..]);
        assert!(good.clone().all(|d| *d == Some(LEAST_NOISE)), "{found:?}");
        // What a device says of them itself is not believed against that.
        fixes.iter_mut().for_each(|f| f.accuracy = Some(5.0));
        let found = deviations_of(&fixes);
        assert!(found[31].unwrap() > 20.0 && found[10] == Some(5.0));
    }

    #[test]
    fn a_single_outlier_stands_out() {
        let mut fixes = drive();
        fixes[30] = fix(150.0, 1_500.0, 60.0);
        // Its neighbours show it as well as it does itself.
        let found = deviations_of(&fixes);
        assert!(found[30].unwrap() > 10.0, "{found:?}");
    }

    #[test]
    fn turning_is_no_noise() {
        let mut fixes = drive();
        // Round the bend of a motorway's ramp, 50 m wide, at 12 m/s.
        for (i, at) in fixes[20..26].iter_mut().enumerate() {
            let angle = 1.2 * i as f64;
            *at = fix(
                100.0 + 5.0 * i as f64,
                1_000.0 + 50.0 * angle.sin(),
                50.0 - 50.0 * angle.cos(),
            );
        }
        assert_eq!(deviations_of(&fixes[..26]), [None; 26]);
        // Round a corner, and round the next one.
        let corner = |i: usize| match i {
            0..20 => (50.0 * i as f64, 0.0),
            20..25 => (950.0, 50.0 * (i - 19) as f64),
            _ => (50.0 * (i - 5) as f64, 250.0),
        };
        let corners: Vec<Fix> = (0..40)
            .map(|i| fix(5.0 * i as f64, corner(i).0, corner(i).1))
            .collect();
        assert_eq!(deviations_of(&corners), [None; 40]);
    }

    #[test]
    fn silence_tells_nothing() {
        let zigzag = |i: i32| {
            fix(
                20.0 * i as f64,
                200.0 * i as f64,
                if i % 2 == 0 { 40.0 } else { -40.0 },
            )
        };
        let sparse: Vec<Fix> = (0..20).map(zigzag).collect();
        assert_eq!(deviations_of(&sparse), [None; 20]);
        assert_eq!(deviations_of(&sparse[..2]), [None; 2]);
    }
}
