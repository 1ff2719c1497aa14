//! From fixes of one device to paths on the road: pure logic that knows neither Postgres nor HTTP.

mod cell;
mod clean;
mod fit;
mod geo;
#[cfg(test)]
mod grid;
mod lines;
mod mend;
mod quality;
mod road;
mod run;
mod seam;
mod smooth;
mod spikes;
mod stops;
mod stretch;
#[cfg(test)]
mod tests;
mod thin;
mod widen;

use crate::osrm::{MatchError, Matcher, Refusal};
pub use clean::sorted;
use run::Run;

/// Microseconds since the Unix epoch.
pub type Micros = i64;

/// One usable GPS reading of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    pub time: Micros,
    /// Degrees east, WGS 84, -180..=180.
    pub lon: f64,
    /// Degrees north, WGS 84, -90..=90.
    pub lat: f64,
    /// Standard deviation in metres as the device reported it; finite and positive if present.
    pub accuracy: Option<f64>,
}

/// A span of time of one device, `[start, end)`, aligned to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    pub start: Micros,
    pub end: Micros,
}

/// What an operator may turn about matching.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Length of a window.
    pub window: Micros,
    /// A silence longer than this ends a path; what lies between is not invented.
    pub max_gap: Micros,
    /// Standard deviation of fixes that report none, in metres; `None`: estimated from the fixes.
    pub gps_accuracy: Option<f64>,
}

/// A piece of line that was driven without a break.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub kind: PathKind,
    pub start: Micros,
    pub end: Micros,
    /// Longitude and latitude of each vertex, rounded to 5 decimals (the stored precision), no
    /// two neighbours equal, at least two.
    pub line: Vec<[f64; 2]>,
    /// OSRM's confidence, 0..=1, weighted over the matchings used; `None` for a raw path.
    pub confidence: Option<f64>,
    /// Fixes of the source that this path stands for.
    pub fixes: usize,
    pub quality: Quality,
    /// Why a raw path is raw: OSRM's code, or `NoRoad` where it answered, but with no way that the
    /// vehicle can have driven.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// On the road.
    Matched,
    /// Straight through the cleaned fixes, for want of a match.
    Raw,
}

/// Figures of our own, for OSRM's confidence says little.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Share of the path's fixes that were matched, 0..=1.
    pub matched_share: f64,
    /// Mean distance from fix to road in metres; `None` for a raw path.
    pub mean_offset: Option<f64>,
    /// Length of the line in metres.
    pub length: f64,
    /// Length of the straight way through the cleaned fixes in metres.
    pub fixes_length: f64,
    /// Greatest speed that a leg implies, m/s.
    pub max_speed: f64,
    pub grade: Grade,
}

/// One word for the map to colour by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    Good,
    Doubtful,
    Raw,
}

/// A vehicle that stood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    pub start: Micros,
    pub end: Micros,
    pub lon: f64,
    pub lat: f64,
    /// Fixes of the source that this stop stands for.
    pub fixes: usize,
}

/// Fixes of the window itself that took no part, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// A second reading of the same second.
    pub duplicate: usize,
    /// At (0, 0), which no vehicle reaches.
    pub null_island: usize,
    /// Reached or left at a speed that no vehicle has.
    pub teleport: usize,
}

/// All that becomes of one window: a pure function of the fixes in its view.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Paths whose `start` lies in the window, ascending.
    pub paths: Vec<Path>,
    pub stops: Vec<Stop>,
    /// `[from, to)`: the span of time whose fixes decided this outcome. A fix that comes later and
    /// lies in it reopens the window.
    pub context: (Micros, Micros),
    pub dropped: Dropped,
    /// The first refusal of OSRM that left part of the window raw.
    pub refusal: Option<Refusal>,
    /// Requests sent for this window.
    pub osrm_calls: u32,
}

impl Dropped {
    fn add(&mut self, other: Dropped) {
        self.duplicate += other.duplicate;
        self.null_island += other.null_island;
        self.teleport += other.teleport;
    }
}

/// The span of time that the fixes given to [`match_windows`] for this window must cover.
///
/// A window is made of the cells that it touches. The cell that their line runs on to begins at
/// most `max_gap` after their end, and the edge of that one depends on `max_gap` more.
pub fn view(window: Window, recipe: &Recipe) -> (Micros, Micros) {
    let from = run::cell_at(window.start).start;
    let to = run::cell_at(window.end.saturating_sub(1)).end;
    (
        from.saturating_sub(recipe.max_gap),
        to.saturating_add(recipe.max_gap.saturating_mul(2)),
    )
}

/// How far a window's outcome can depend on points beyond its start.
pub fn context_reach(recipe: &Recipe) -> Micros {
    let (from, to) = view(
        Window {
            start: 0,
            end: recipe.window,
        },
        recipe,
    );
    to.max(-from)
}

/// Matches windows of one device.
///
/// `windows` ascend and do not overlap; `fixes` cover the union of their views, in any order.
/// Each outcome is the same as if its window had been matched alone (but for `osrm_calls`: what
/// two windows need is asked once); an error concerns its window only, except `Cancelled`, which
/// ends the rest.
pub fn match_windows(
    windows: &[Window],
    fixes: &[Fix],
    recipe: &Recipe,
    matcher: &dyn Matcher,
) -> Vec<Result<Outcome, MatchError>> {
    let mut run = Run::new(fixes, recipe, matcher);
    let mut cancelled = false;
    let mut outcome = |window: &Window| {
        if cancelled {
            return Err(MatchError::Cancelled);
        }
        let outcome = run.outcome(*window);
        cancelled = outcome == Err(MatchError::Cancelled);
        outcome
    };
    windows.iter().map(&mut outcome).collect()
}
