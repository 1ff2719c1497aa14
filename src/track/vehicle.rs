//! What a vehicle can do, and what it cannot.

use super::geo::{self, Place};
use super::model::{Fix, seconds};
use super::recipe::vehicle::{ACCELERATION, JUMP, TOP_SPEED};

/// Whether a vehicle can get from one fix to the other.
pub fn reachable(from: &Fix, to: &Fix) -> bool {
    can_travel(
        geo::distance(from.place(), to.place()),
        seconds(from.time, to.time),
    )
}

/// Whether a vehicle can travel so many metres in so many seconds.
pub fn can_travel(metres: f64, seconds: f64) -> bool {
    metres <= TOP_SPEED * seconds.abs() + JUMP
}

/// Metres a second on the straight way through some fixes; less than a second counts as one.
pub fn speed(fixes: &[Fix]) -> f64 {
    let places: Vec<Place> = fixes.iter().map(Fix::place).collect();
    let (first, last) = (&fixes[0], &fixes[fixes.len() - 1]);
    geo::length(&places) / seconds(first.time, last.time).max(1.0)
}

/// How far a vehicle gets in so many seconds, in metres, that is no faster than `from` when it sets out and than `to`
/// when it arrives, in m/s: it gathers speed, keeps the top speed if there is time, and brakes.
pub fn farthest(seconds: f64, from: f64, to: f64) -> f64 {
    let gained = ACCELERATION * seconds;
    let (from, to) = (from.min(to + gained), to.min(from + gained));
    let top = ((from + to + gained) / 2.0).min(TOP_SPEED);
    let changing = (2.0 * top - from - to) / ACCELERATION;
    let while_changing = (2.0 * top.powi(2) - from.powi(2) - to.powi(2)) / (2.0 * ACCELERATION);
    while_changing + top * (seconds - changing)
}

/// How fast a vehicle can be, in m/s, at one end of a way of so many metres in so many seconds: it may have stood for
/// a part of them.
pub fn fastest_end(metres: f64, seconds: f64) -> f64 {
    let from_a_stand = (2.0 * ACCELERATION * metres).sqrt();
    let speed = if from_a_stand <= ACCELERATION * seconds {
        from_a_stand
    } else {
        metres / seconds + ACCELERATION * seconds / 2.0
    };
    speed.min(TOP_SPEED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_a_stand_to_a_stand_a_vehicle_gathers_speed_and_brakes() {
        assert_eq!(farthest(10.0, 0.0, 0.0), 100.0); // up to 20 m/s and down
        assert_eq!(farthest(10.0, 0.0, TOP_SPEED), 200.0);
        assert_eq!(farthest(100.0, 0.0, 0.0), 7000.0 - 2.0 * 612.5);
        assert_eq!(farthest(10.0, TOP_SPEED, TOP_SPEED), 700.0);
    }

    #[test]
    fn a_way_says_how_fast_its_end_can_be() {
        assert_eq!(fastest_end(0.0, 30.0), 0.0);
        assert_eq!(fastest_end(50.0, 30.0), 20.0); // 5 s of gathering speed after 25 s of standing
        assert_eq!(fastest_end(50.0, 2.0), 29.0); // ever faster, from 21 m/s on
        assert_eq!(fastest_end(1e4, 100.0), TOP_SPEED);
    }
}
