//! A smoother for dense fixes.
//!
//! A constant-velocity Kalman filter forward and a Rauch-Tung-Striebel pass back. White noise of
//! fixes a second apart falls to about a third; at five seconds and more there is next to nothing
//! to gain, for a vehicle does too much between two fixes.

use super::noise::{deviations, goes_on};
use crate::track::geo::{Place, Plane};
use crate::track::model::{Fix, Micros, seconds};
use crate::track::recipe::Recipe;
use crate::track::recipe::prepare::{
    ACCELERATION, LEAST_SPEED, MOST_NOISE, UNKNOWN_PLACE, UNKNOWN_SPEED,
};

/// A fix after smoothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smoothed {
    pub time: Micros,
    pub place: Place,
    /// Standard deviation of the place in metres; `None` where nothing is known of it.
    pub deviation: Option<f64>,
    /// Direction of travel in degrees clockwise from north, as the device reported it at speed.
    pub course: Option<f64>,
}

/// Smooths where the noise is known, by report, by setting or by estimate; otherwise leaves the
/// fixes where they are. `hidden` is what the road told about them, where it has been asked.
pub fn smooth(fixes: &[Fix], recipe: &Recipe, hidden: Option<f64>) -> Vec<Smoothed> {
    let deviations = deviations(fixes, recipe, hidden);
    let mut out = Vec::with_capacity(fixes.len());
    for run in fixes.chunk_by(goes_on) {
        let deviations = &deviations[out.len()..out.len() + run.len()];
        smooth_run(run, deviations, &mut out);
    }
    out
}

#[derive(Clone, Copy)]
struct State {
    /// Position and velocity, east and north.
    x: [f64; 2],
    v: [f64; 2],
    /// Covariance, the same for both axes: position, both, velocity.
    p: [f64; 3],
}

fn smooth_run(run: &[Fix], deviations: &[Option<f64>], out: &mut Vec<Smoothed>) {
    if run.len() < 3 || deviations.iter().any(Option::is_none) {
        let fixes = run.iter().zip(deviations);
        out.extend(fixes.map(|(fix, deviation)| Smoothed {
            time: fix.time,
            place: fix.place(),
            deviation: *deviation,
            course: course(fix),
        }));
        return;
    }
    let plane = Plane::at(run[0].place());
    let mut forward: Vec<(State, State)> = Vec::with_capacity(run.len());
    for (i, fix) in run.iter().enumerate() {
        let z = plane.project(fix.place());
        let r = deviations[i].unwrap_or(MOST_NOISE).powi(2);
        let predicted = match forward.last() {
            None => State {
                x: z,
                v: [0.0; 2],
                p: [UNKNOWN_PLACE, 0.0, UNKNOWN_SPEED],
            },
            Some((last, _)) => predict(*last, seconds(run[i - 1].time, fix.time)),
        };
        forward.push((update(predicted, z, r), predicted));
    }
    let mut states: Vec<State> = forward.iter().map(|(filtered, _)| *filtered).collect();
    for i in (0..states.len() - 1).rev() {
        let dt = seconds(run[i].time, run[i + 1].time);
        states[i] = back(forward[i].0, forward[i + 1].1, states[i + 1], dt);
    }
    out.extend(run.iter().zip(&states).map(|(fix, s)| Smoothed {
        time: fix.time,
        place: plane.unproject(s.x),
        deviation: Some(s.p[0].max(0.0).sqrt()),
        course: course(fix),
    }));
}

/// A device whose speed is unknown may stand.
fn course(fix: &Fix) -> Option<f64> {
    fix.course
        .filter(|_| fix.speed.is_some_and(|v| v >= LEAST_SPEED))
}

fn predict(s: State, dt: f64) -> State {
    let q = ACCELERATION * ACCELERATION;
    State {
        x: [s.x[0] + s.v[0] * dt, s.x[1] + s.v[1] * dt],
        v: s.v,
        p: [
            s.p[0] + 2.0 * dt * s.p[1] + dt * dt * s.p[2] + q * dt.powi(3) / 3.0,
            s.p[1] + dt * s.p[2] + q * dt * dt / 2.0,
            s.p[2] + q * dt,
        ],
    }
}

fn update(s: State, z: [f64; 2], r: f64) -> State {
    let gain = [s.p[0] / (s.p[0] + r), s.p[1] / (s.p[0] + r)];
    let off = [z[0] - s.x[0], z[1] - s.x[1]];
    State {
        x: [s.x[0] + gain[0] * off[0], s.x[1] + gain[0] * off[1]],
        v: [s.v[0] + gain[1] * off[0], s.v[1] + gain[1] * off[1]],
        p: [
            (1.0 - gain[0]) * s.p[0],
            (1.0 - gain[0]) * s.p[1],
            s.p[2] - gain[1] * s.p[1],
        ],
    }
}

/// One step of the pass back: the filtered state, corrected by what came after it.
fn back(filtered: State, predicted: State, next: State, dt: f64) -> State {
    let [a, b, d] = predicted.p;
    let det = a * d - b * b;
    if det <= 1e-12 {
        return filtered;
    }
    let f = filtered.p;
    // Gain C = P F' inverse(predicted P), with F = [1 dt; 0 1].
    let (m00, m01) = (f[0] + dt * f[1], f[1]);
    let (m10, m11) = (f[1] + dt * f[2], f[2]);
    let c00 = (m00 * d - m01 * b) / det;
    let c01 = (m01 * a - m00 * b) / det;
    let c10 = (m10 * d - m11 * b) / det;
    let c11 = (m11 * a - m10 * b) / det;
    let mut s = filtered;
    for k in 0..2 {
        let (dx, dv) = (next.x[k] - predicted.x[k], next.v[k] - predicted.v[k]);
        s.x[k] += c00 * dx + c01 * dv;
        s.v[k] += c10 * dx + c11 * dv;
    }
    let e = [next.p[0] - a, next.p[1] - b, next.p[2] - d];
    s.p[0] += c00 * c00 * e[0] + 2.0 * c00 * c01 * e[1] + c01 * c01 * e[2];
    s.p[1] += c00 * c10 * e[0] + (c00 * c11 + c01 * c10) * e[1] + c01 * c11 * e[2];
    s.p[2] += c10 * c10 * e[0] + 2.0 * c10 * c11 * e[1] + c11 * c11 * e[2];
    s
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::geo;
    use crate::track::tests::city::{fix, recipe};

    /// A drive at 10 m/s, `every` seconds a fix, with white errors, the same each time.
    fn drive(every: usize, noise: f64) -> Vec<Fix> {
        let uniform = |seed: u64| {
            let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            ((mixed ^ (mixed >> 27)) >> 11) as f64 / (1u64 << 53) as f64
        };
        let error = |i: usize, k: u64| {
            let sum: f64 = (0..12).map(|n| uniform(24 * i as u64 + 12 * k + n)).sum();
            (sum - 6.0) * noise
        };
        (0..200)
            .map(|i| {
                let second = (i * every) as f64;
                fix(second, 10.0 * second + error(i, 0), error(i, 1))
            })
            .collect()
    }

    fn off(points: &[Smoothed]) -> f64 {
        let squared: f64 = points
            .iter()
            .map(|p| Plane::at(crate::track::tests::city::CENTRE).project(p.place)[1].powi(2))
            .sum();
        (squared / points.len() as f64).sqrt()
    }

    #[test]
    fn white_noise_is_estimated_and_falls() {
        let fixes = drive(1, 10.0);
        let estimate = deviations(&fixes, &recipe(300), None)[50].unwrap();
        assert!((6.0..14.0).contains(&estimate), "{estimate}");
        let smoothed = smooth(&fixes, &recipe(300), None);
        let raw: Vec<Smoothed> = fixes
            .iter()
            .map(|f| Smoothed {
                time: f.time,
                place: f.place(),
                deviation: None,
                course: None,
            })
            .collect();
        assert!(
            off(&smoothed) < 0.6 * off(&raw),
            "{} of {}",
            off(&smoothed),
            off(&raw)
        );
    }

    #[test]
    fn sparse_fixes_stay_where_they_are_until_their_noise_is_known() {
        let fixes = drive(8, 10.0);
        let smoothed = smooth(&fixes, &recipe(300), None);
        assert!(
            fixes
                .iter()
                .zip(&smoothed)
                .all(|(f, s)| f.place() == s.place)
        );
        let known = smooth(&fixes, &recipe(300), Some(10.0));
        assert!(off(&known) < off(&smoothed));
    }

    #[test]
    fn a_report_is_believed_but_not_against_the_road() {
        let mut fixes = drive(5, 10.0);
        fixes.iter_mut().for_each(|f| f.accuracy = Some(1.0));
        let believed = smooth(&fixes, &recipe(300), None)[50].deviation.unwrap();
        let corrected = smooth(&fixes, &recipe(300), Some(10.0))[50]
            .deviation
            .unwrap();
        assert!(believed < 1.1 && corrected > 3.0, "{believed} {corrected}");
    }

    #[test]
    fn a_jump_that_stays_starts_the_filter_anew() {
        let mut fixes = drive(1, 0.0);
        for f in &mut fixes[..3] {
            f.lat += 0.1;
        }
        for (fix, smoothed) in fixes.iter().zip(smooth(&fixes, &recipe(300), None)) {
            assert!(geo::distance(fix.place(), smoothed.place) < 3.0);
        }
    }

    #[test]
    fn a_pause_starts_the_filter_anew() {
        let mut fixes = drive(1, 0.0);
        // Round a corner unseen: nothing before the pause may pull at what comes after.
        for f in &mut fixes[100..] {
            *f = Fix {
                time: f.time + 60_000_000,
                lat: f.lat + 0.01,
                ..*f
            };
        }
        let smoothed = smooth(&fixes, &recipe(300), None);
        let near = |i: usize| geo::distance(fixes[i].place(), smoothed[i].place);
        assert!(near(99) < 3.0 && near(100) < 3.0);
    }
}
