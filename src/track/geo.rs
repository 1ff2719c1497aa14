//! Distances on the globe and small flat maps around a place.

/// Longitude and latitude in degrees.
pub type Place = [f64; 2];

/// Mean radius of the earth in metres, the one that OSRM reckons with.
const EARTH: f64 = 6_372_797.560_856;

/// Parts of a degree in which places are stored.
const STORED_PARTS: f64 = 1e5;

/// Radians of latitude or longitude, six kilometres, up to which places are near each other.
const NEAR: f64 = 1e-3;

/// Longitude difference in degrees, the short way round.
pub fn longitude_difference(from: f64, to: f64) -> f64 {
    let d = to - from;
    if d > 180.0 {
        d - 360.0
    } else if d < -180.0 {
        d + 360.0
    } else {
        d
    }
}

/// Metres between two places, by the haversine formula.
///
/// Where they are near each other, as those of a track are, the formula's sines and arcs are their angles, and the
/// product of its two cosines is the square of the one half way: within a millionth of it, for a fraction of its time.
pub fn distance(a: Place, b: Place) -> f64 {
    let (lat_a, lat_b) = (a[1].to_radians(), b[1].to_radians());
    let north = lat_b - lat_a;
    let east = longitude_difference(a[0], b[0]).to_radians();
    if north.abs() < NEAR && east.abs() < NEAR {
        let east = east * ((lat_a + lat_b) / 2.0).cos();
        return EARTH * (north * north + east * east).sqrt();
    }
    haversine(lat_a, lat_b, east)
}

fn haversine(lat_a: f64, lat_b: f64, east: f64) -> f64 {
    let north = (lat_b - lat_a) / 2.0;
    let h = north.sin().powi(2) + lat_a.cos() * lat_b.cos() * (east / 2.0).sin().powi(2);
    2.0 * EARTH * h.clamp(0.0, 1.0).sqrt().asin()
}

/// Metres along a line.
pub fn length(line: &[Place]) -> f64 {
    line.windows(2).map(|w| distance(w[0], w[1])).sum()
}

/// A flat map in metres, true near its origin.
#[derive(Debug, Clone, Copy)]
pub struct Plane {
    origin: Place,
    east: f64,
    north: f64,
}

impl Plane {
    pub fn at(origin: Place) -> Self {
        let north = EARTH.to_radians();
        // At a pole every longitude is the same place; the floor keeps the way back finite.
        let east = north * origin[1].to_radians().cos().max(1e-6);
        Plane {
            origin,
            east,
            north,
        }
    }

    /// Metres east and north of the origin.
    pub fn project(&self, place: Place) -> [f64; 2] {
        [
            longitude_difference(self.origin[0], place[0]) * self.east,
            (place[1] - self.origin[1]) * self.north,
        ]
    }

    /// The place so many metres east and north of the origin.
    pub fn unproject(&self, xy: [f64; 2]) -> Place {
        let lon = self.origin[0] + xy[0] / self.east;
        let lat = self.origin[1] + xy[1] / self.north;
        [wrap(lon), lat.clamp(-90.0, 90.0)]
    }
}

/// A longitude brought back into -180..=180.
fn wrap(lon: f64) -> f64 {
    if (-180.0..=180.0).contains(&lon) {
        lon
    } else {
        (lon + 180.0).rem_euclid(360.0) - 180.0
    }
}

/// Metres from a place to a line of at least one vertex.
pub fn distance_to_line(place: Place, line: &[Place]) -> f64 {
    let plane = Plane::at(place);
    if let [only] = line {
        return distance(place, *only);
    }
    line.windows(2)
        .map(|w| distance_to_segment(plane.project(w[0]), plane.project(w[1])))
        .fold(f64::INFINITY, f64::min)
}

/// Metres along a line to where it is nearest to a place.
pub fn project_on_line(place: Place, line: &[Place]) -> f64 {
    let plane = Plane::at(place);
    let (mut nearest, mut along, mut passed) = (f64::INFINITY, 0.0, 0.0);
    for w in line.windows(2) {
        let (a, b) = (plane.project(w[0]), plane.project(w[1]));
        let (length, share) = (distance(w[0], w[1]), nearest_share(a, b));
        let off = (a[0] + share * (b[0] - a[0])).hypot(a[1] + share * (b[1] - a[1]));
        if off < nearest {
            (nearest, along) = (off, passed + share * length);
        }
        passed += length;
    }
    along
}

/// The part of a line between two distances along it; at least its last vertex.
pub fn part_of_line(line: &[Place], from: f64, to: f64) -> Vec<Place> {
    let (mut part, mut passed) = (Vec::new(), 0.0);
    for w in line.windows(2) {
        let length = distance(w[0], w[1]);
        let at = |along: f64| {
            let share = ((along - passed) / length).clamp(0.0, 1.0);
            [
                wrap(w[0][0] + share * longitude_difference(w[0][0], w[1][0])),
                w[0][1] + share * (w[1][1] - w[0][1]),
            ]
        };
        if length > 0.0 && from <= passed + length && passed <= to {
            if part.is_empty() {
                part.push(at(from));
            }
            part.push(at(to));
        }
        passed += length;
    }
    if part.is_empty() {
        part.extend(line.last());
    }
    part.dedup();
    part
}

/// Degrees by which a way turns at its middle vertex; `None` where two of them are one place.
pub fn turn(before: Place, at: Place, after: Place) -> Option<f64> {
    let plane = Plane::at(at);
    let (a, b) = (plane.project(before), plane.project(after));
    let lengths = a[0].hypot(a[1]) * b[0].hypot(b[1]);
    (lengths > 0.0).then(|| {
        let cosine = -(a[0] * b[0] + a[1] * b[1]) / lengths;
        cosine.clamp(-1.0, 1.0).acos().to_degrees()
    })
}

/// The direction from one place to another, degrees clockwise from north, 0..360.
pub fn course(from: Place, to: Place) -> f64 {
    let [east, north] = Plane::at(from).project(to);
    east.atan2(north).to_degrees().rem_euclid(360.0)
}

/// Degrees between two courses, 0..=180.
pub fn between_courses(a: f64, b: f64) -> f64 {
    let between = (a - b).rem_euclid(360.0);
    between.min(360.0 - between)
}

/// How far along the segment between two flat points, 0..=1, it is nearest to the origin.
fn nearest_share(a: [f64; 2], b: [f64; 2]) -> f64 {
    let d = [b[0] - a[0], b[1] - a[1]];
    let squared = d[0] * d[0] + d[1] * d[1];
    if squared > 0.0 {
        (-(a[0] * d[0] + a[1] * d[1]) / squared).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// Distance from the origin to the segment between two flat points.
pub fn distance_to_segment(a: [f64; 2], b: [f64; 2]) -> f64 {
    let t = nearest_share(a, b);
    (a[0] + t * (b[0] - a[0])).hypot(a[1] + t * (b[1] - a[1]))
}

/// A place in whole hundred thousandths of a degree, about a metre each, as an encoded polyline of precision 5 has it.
pub fn stored_numbers(place: Place) -> [i64; 2] {
    place.map(|degrees| (degrees * STORED_PARTS).round() as i64)
}

/// A place as it is stored: five decimals.
pub fn stored(place: Place) -> Place {
    stored_numbers(place).map(|parts| parts as f64 / STORED_PARTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_near_each_other_are_as_far_as_the_haversine_says(
            lon in -180.0..180.0, lat in -90.0..=90.0f64, east in -0.06..0.06, north in -0.06..0.06f64,
        ) {
            let (a, b) = ([lon, lat], [wrap(lon + east), (lat + north).clamp(-90.0, 90.0)]);
            let right = haversine(lat.to_radians(), b[1].to_radians(), f64::to_radians(east));
            prop_assert!((distance(a, b) - right).abs() <= 1e-6 * right + 1e-6);
        }
    }

    #[test]
    fn a_degree_of_latitude() {
        assert!((distance([24.0, 60.0], [24.0, 61.0]) - 111_226.0).abs() < 10.0);
    }

    #[test]
    fn the_antimeridian_is_no_border() {
        assert!(distance([179.999, 0.0], [-179.999, 0.0]) < 250.0);
        let plane = Plane::at([179.999, 10.0]);
        let back = plane.unproject(plane.project([-179.999, 10.001]));
        assert!(distance(back, [-179.999, 10.001]) < 0.01);
    }

    #[test]
    fn a_line_over_the_antimeridian_is_cut_there_as_anywhere() {
        let (east, west) = ([179.99, -16.5], [-179.97, -16.5]);
        let length = distance(east, west);
        let part = part_of_line(&[east, west], length / 2.0, length);
        assert!((part[0][0] + 179.99).abs() < 1e-9, "{part:?}");
        let part = part_of_line(&[west, east], 0.0, length / 2.0);
        assert!((part[1][0] + 179.99).abs() < 1e-9, "{part:?}");
    }

    #[test]
    fn the_poles_stay_finite() {
        let plane = Plane::at([0.0, 90.0]);
        assert!(
            plane
                .unproject(plane.project([120.0, 89.9999]))
                .iter()
                .all(|v| v.is_finite())
        );
        assert!(distance([0.0, 90.0], [170.0, 90.0]) < 1e-6);
    }

    #[test]
    fn distance_to_a_line() {
        let line = [[24.0, 60.0], [24.01, 60.0]];
        assert!((distance_to_line([24.005, 60.0001], &line) - 11.1).abs() < 0.1);
        assert!((distance_to_line([23.999, 60.0], &line) - 55.6).abs() < 0.2);
    }

    #[test]
    fn courses_go_clockwise_from_north() {
        assert!(course([24.0, 60.0], [24.0, 60.1]) < 0.01);
        assert!((course([24.0, 60.0], [24.1, 60.0]) - 90.0).abs() < 0.1);
        assert_eq!(between_courses(-170.0, 350.0), 160.0);
        assert_eq!(between_courses(359.0, 1.0), 2.0);
    }

    #[test]
    fn stored_has_no_minus_zero() {
        assert!(stored([-0.000001, 0.0])[0].is_sign_positive());
    }
}
