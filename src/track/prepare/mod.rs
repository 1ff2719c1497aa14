//! Stage 1: from raw fixes to segments of driving that OSRM can be asked about.

mod clean;
mod course;
mod late;
mod noise;
mod repeats;
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
    /// Where it was heard of between two silences, too briefly to have stood.
    pub sightings: Vec<Standing>,
    /// Stretches of driving, each of at least two fixes.
    pub segments: Vec<Vec<Smoothed>>,
}

/// Cleans and smooths fixes in the order of [`Fixes`](super::Fixes), and parts them at stops.
/// `hidden` is noise that they do not show themselves, as a standard deviation in metres.
pub fn prepare(sorted: &[Fix], recipe: &Recipe, hidden: Option<f64>) -> Prepared {
    let mut cleaned = clean(sorted, recipe);
    let smoothed = smooth::smooth(&cleaned.fixes, recipe, hidden);
    let standings = stops::find(&smoothed, recipe);
    let mut segments = stops::segments(&smoothed, &standings, recipe);
    for segment in &mut segments {
        course::believe(segment);
    }
    let sightings = stops::sightings(&smoothed, recipe);
    let stayed = |time: Micros| holds(&standings, time) || holds(&sightings, time);
    let mut driven = segments.iter().flatten().map(|p| p.time).peekable();
    cleaned.lose_unreached(|time| {
        while driven.next_if(|t| *t < time).is_some() {}
        driven.peek() == Some(&time) || stayed(time)
    });
    Prepared {
        cleaned,
        standings,
        sightings,
        segments,
    }
}

/// Whether one of the standings, which ascend, holds an instant.
fn holds(standings: &[Standing], time: Micros) -> bool {
    let next = standings.partition_point(|s| s.end < time);
    standings.get(next).is_some_and(|s| s.start <= time)
}

impl Prepared {
    /// Where the vehicle stood or was seen, as far as it lies in a span.
    pub fn standings_in(&self, span: Window) -> Vec<Standing> {
        let all = self.standings.iter().chain(&self.sightings);
        let mut here: Vec<Standing> = all.filter_map(|s| s.within(span)).collect();
        here.sort_by_key(|standing| standing.start);
        here
    }

    /// Whether a segment is what was heard of a vehicle that was only seen.
    pub fn is_sighting(&self, segment: &[Smoothed]) -> bool {
        holds(&self.sightings, segment[0].time)
    }

    /// The times of the fixes that belong to no stop.
    pub fn moving(&self) -> Vec<Micros> {
        let times = self.cleaned.fixes.iter().map(|f| f.time);
        times
            .filter(|time| !holds(&self.standings, *time))
            .collect()
    }
}
