//! A city of streets every hundred metres, for tests: a matcher that snaps to it.

use std::cell::{Cell, RefCell};

use crate::osrm::{
    Leg, MatchAnswer, MatchError, MatchRequest, Matcher, Matching, Refusal, RequestPoint,
    Tracepoint,
};
use crate::track::ask::{MatchedLeg, Observation};
use crate::track::geo::{self, Place, Plane};
use crate::track::model::{Fix, Micros, SECOND, Window};
use crate::track::prepare::Smoothed;
use crate::track::recipe::Recipe;

pub const CENTRE: Place = [24.9, 60.2];
/// A whole number of days, so that windows of any length begin there.
pub const START: Micros = 20_000 * 86_400 * SECOND;
const STREET: f64 = 100.0;

pub fn recipe(window_seconds: i64) -> Recipe {
    Recipe {
        window: window_seconds * SECOND,
        max_gap: 300 * SECOND,
        gps_accuracy: None,
        tolerance: 0.0,
    }
}

/// Observations ten seconds apart, metres east and north of the centre.
pub fn trace(places: &[(f64, f64)]) -> Vec<Observation> {
    let at = |(i, (x, y)): (usize, &(f64, f64))| {
        let f = fix(10.0 * i as f64, *x, *y);
        Observation {
            time: f.time,
            place: f.place(),
            radius: 5.0,
            silence: 10.0,
            detour_speed: 8.0,
            course: None,
        }
    };
    places.iter().enumerate().map(at).collect()
}

/// The fixes that observations stand for, if none was left out.
pub fn fixes_at(trace: &[Observation]) -> Vec<Smoothed> {
    let fix = |o: &Observation| Smoothed {
        time: o.time,
        place: o.place,
        deviation: None,
        course: None,
    };
    trace.iter().map(fix).collect()
}

/// A straight leg from one observation to another.
pub fn leg(trace: &[Observation], from: usize, to: usize) -> MatchedLeg {
    let line = vec![trace[from].place, trace[to].place];
    let distance = geo::length(&line);
    MatchedLeg {
        from,
        to,
        line,
        distance,
        confidence: 1.0,
    }
}

/// A fix so many seconds after the start, metres east and north of the centre.
pub fn fix(second: f64, x: f64, y: f64) -> Fix {
    let [lon, lat] = Plane::at(CENTRE).unproject([x, y]);
    Fix {
        time: START + (second * SECOND as f64) as Micros,
        lon,
        lat,
        ..Fix::default()
    }
}

/// Windows of the recipe that hold fixes.
pub fn windows(fixes: &[Fix], recipe: &Recipe) -> Vec<Window> {
    let mut numbers: Vec<i64> = fixes.iter().map(|f| recipe.window_number(f.time)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let at = |n: i64| n.saturating_mul(recipe.window);
    numbers
        .into_iter()
        .map(|n| Window {
            start: at(n),
            end: at(n).saturating_add(recipe.window),
        })
        .collect()
}

#[derive(Default)]
pub struct City {
    /// 0: no limit.
    pub max_size: Cell<usize>,
    /// What the server really takes; 0: no limit.
    pub server_size: usize,
    /// Requests of more points than this do not come back; 0: none.
    pub slow_size: usize,
    /// The engine knows no road at all.
    pub empty: bool,
    /// What stands for its streets.
    pub roads: u64,
    pub asked: RefCell<Vec<MatchRequest>>,
}

impl Matcher for City {
    fn ask(&self, request: &MatchRequest) -> Result<MatchAnswer, MatchError> {
        let size = request.points.len();
        assert!(size >= 2, "a trace has at least two points");
        assert!(request.points.windows(2).all(|w| w[0].time < w[1].time));
        assert!(
            request
                .points
                .iter()
                .all(|p| p.radius > 0.0 && p.radius <= 25.0)
        );
        self.asked.borrow_mut().push(request.clone());
        if self.server_size > 0 && size > self.server_size {
            self.max_size.set((size / 2).max(2));
            return Err(MatchError::TooBig);
        }
        if self.slow_size > 0 && size > self.slow_size {
            return Err(MatchError::TimedOut);
        }
        let spots: Vec<Option<Place>> = request
            .points
            .iter()
            .map(|p| if self.empty { None } else { snap(p) })
            .collect();
        let code = match spots.iter().flatten().count() {
            0 => "NoSegment",
            1 => "NoMatch",
            _ => return Ok(answer(&spots)),
        };
        Err(MatchError::Refused(Refusal {
            code: code.to_owned(),
            message: "Could not match the trace.".to_owned(),
        }))
    }

    fn roads(&self) -> u64 {
        self.roads
    }

    fn max_size(&self) -> usize {
        match self.max_size.get() {
            0 => 100,
            size => size,
        }
    }
}

/// The nearest place on a street.
fn snap(point: &RequestPoint) -> Option<Place> {
    let plane = Plane::at(CENTRE);
    let [x, y] = plane.project([point.lon, point.lat]);
    if x.hypot(y) > 20_000.0 {
        return None;
    }
    let (sx, sy) = ((x / STREET).round() * STREET, (y / STREET).round() * STREET);
    let (dx, dy) = ((x - sx).abs(), (y - sy).abs());
    let spot = if dx < dy { [sx, y] } else { [x, sy] };
    (dx.min(dy) <= 3.0 * point.radius).then(|| plane.unproject(spot))
}

fn answer(spots: &[Option<Place>]) -> MatchAnswer {
    let found: Vec<Place> = spots.iter().flatten().copied().collect();
    let legs = found.windows(2).map(|w| streets(w[0], w[1])).collect();
    let mut waypoint = 0;
    let tracepoints = spots
        .iter()
        .map(|spot| {
            spot.map(|location| {
                waypoint += 1;
                Tracepoint {
                    location,
                    matching: 0,
                    waypoint: waypoint - 1,
                    alternatives: 0,
                }
            })
        })
        .collect();
    MatchAnswer {
        matchings: vec![Matching {
            confidence: 0.9,
            legs,
        }],
        tracepoints,
    }
}

/// Along the streets from one place on them to another.
fn streets(a: Place, b: Place) -> Leg {
    let plane = Plane::at(CENTRE);
    let (p, q) = (plane.project(a), plane.project(b));
    let near = |v: f64| (v / STREET).round() * STREET;
    let on_column = |p: [f64; 2]| (p[0] - near(p[0])).abs() < 0.5;
    let corners = match (on_column(p), on_column(q)) {
        (true, true) if (p[0] - q[0]).abs() < 1.0 => vec![],
        (true, true) => vec![[p[0], near(q[1])], [q[0], near(q[1])]],
        (true, false) => vec![[p[0], q[1]]],
        (false, true) => vec![[q[0], p[1]]],
        (false, false) if (p[1] - q[1]).abs() < 1.0 => vec![],
        (false, false) => vec![[near(q[0]), p[1]], [near(q[0]), q[1]]],
    };
    let mut line = vec![a];
    line.extend(corners.into_iter().map(|xy| plane.unproject(xy)));
    line.push(b);
    let distance = geo::length(&line);
    Leg {
        line,
        distance,
        duration: distance / 10.0,
    }
}

/// A drive along streets: east, then north, at 10 m/s; `every` seconds a fix, `off` metres beside
/// the road.
pub fn drive(seconds: i64, every: i64, off: f64) -> Vec<Fix> {
    (0..=seconds)
        .step_by(every as usize)
        .map(|s| {
            let way = s as f64 * 10.0;
            let block = (way / 500.0).floor();
            let (east, north) = ((block / 2.0).ceil() * 500.0, (block / 2.0).floor() * 500.0);
            let rest = way - block * 500.0;
            let wobble = if s % 2 == 0 { off } else { -off };
            match block as i64 % 2 {
                0 => fix(s as f64, east + rest, north + wobble),
                _ => fix(s as f64, east + wobble, north + rest),
            }
        })
        .collect()
}
