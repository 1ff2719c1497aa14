//! What a vehicle can do, and what it cannot.

use super::geo;
use super::model::{Fix, seconds};
use super::recipe::vehicle::{JUMP, TOP_SPEED};

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
