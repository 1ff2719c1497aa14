//! Stage 1: from raw fixes to segments of driving that OSRM can be asked about.

mod clean;
mod course;
mod smooth;
mod stops;
mod teleports;
mod thin;

pub use clean::{Cleaned, clean};
pub use smooth::Smoothed;
pub use stops::{Standing, allowance, stays};
pub use thin::{Nearby, Thinned, around, thin};

use super::model::{Fix, Micros, Window};
use super::recipe::Recipe;

/// The fixes of a span, made ready.
pub struct Prepared {
    pub cleaned: Cleaned,
    pub standings: Vec<Standing>,
    /// Stretches of driving, each of at least two fixes.
    pub segments: Vec<Vec<Smoothed>>,
}

/// Cleans and smooths fixes in the order of [`Fixes`](super::Fixes), and parts them at stops.
/// `hidden` is noise that they do not show themselves, as a standard deviation in metres.
pub fn prepare(sorted: &[Fix], recipe: &Recipe, hidden: Option<f64>) -> Prepared {
    let cleaned = clean(sorted);
    let smoothed = smooth::smooth(&cleaned.fixes, recipe, hidden);
    let standings = stops::find(&smoothed, recipe);
    let mut segments = stops::segments(&smoothed, &standings, recipe);
    for segment in &mut segments {
        course::believe(segment);
    }
    Prepared {
        cleaned,
        standings,
        segments,
    }
}

impl Prepared {
    /// Where the vehicle stood, as far as it lies in a span.
    pub fn standings_in(&self, span: Window) -> Vec<Standing> {
        let clipped = |standing: &Standing| {
            let (start, end) = (standing.start.max(span.start), standing.end.min(span.end));
            (start < end).then_some(Standing {
                start,
                end,
                ..*standing
            })
        };
        self.standings.iter().filter_map(clipped).collect()
    }

    /// The times of the fixes that belong to no stop.
    pub fn moving(&self) -> Vec<Micros> {
        let parked = |time: Micros| {
            let next = self.standings.partition_point(|s| s.end < time);
            self.standings.get(next).is_some_and(|s| s.start <= time)
        };
        let times = self.cleaned.fixes.iter().map(|f| f.time);
        times.filter(|time| !parked(*time)).collect()
    }
}
