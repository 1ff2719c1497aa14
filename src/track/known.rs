//! The seam that an earlier run ended with.
//!
//! Live work settles one slot of a device after the other, each in a run of its own: where one ends the next
//! begins. What was asked about that edge once is kept, and need not be asked again as long as all that decided
//! it is the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::ask::Noise;
use super::model::{Fix, Window};
use super::recipe::Recipe;
use super::seam::Seam;

/// A seam with what was learned of the fixes around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnownSeam {
    /// Of all that decided it.
    pub fingerprint: i64,
    pub seam: Seam,
    pub noise: Noise,
}

/// What stands for all that decides the edge at the start of a slot: the fixes `near` it, the recipe, this version
/// of the project, how many fixes to each side a request holds, and what roads are asked about.
pub fn fingerprint(slot: Window, near: &[Fix], recipe: &Recipe, side: usize, roads: u64) -> i64 {
    let mut hasher = DefaultHasher::new();
    let number = |value: Option<f64>| value.map(f64::to_bits);
    for f in near {
        let sensors = [f.accuracy, f.course, f.speed].map(number);
        (f.time, f.lon.to_bits(), f.lat.to_bits(), sensors).hash(&mut hasher);
    }
    let version = env!("CARGO_PKG_VERSION");
    (slot.start, near.len(), side, roads, version).hash(&mut hasher);
    format!("{recipe:?}").hash(&mut hasher);
    hasher.finish().cast_signed()
}
