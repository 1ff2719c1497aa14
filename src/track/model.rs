//! What goes into matching and what comes out of it.

use super::geo::Place;
use crate::osrm::Refusal;

/// Microseconds since the Unix epoch.
pub type Micros = i64;

pub const SECOND: Micros = 1_000_000;

/// Seconds from one instant to another.
pub fn seconds(from: Micros, to: Micros) -> f64 {
    to.saturating_sub(from) as f64 / SECOND as f64
}

/// One usable GPS reading of a device.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fix {
    pub time: Micros,
    /// Degrees east, WGS 84, -180..=180.
    pub lon: f64,
    /// Degrees north, WGS 84, -90..=90.
    pub lat: f64,
    /// Standard deviation in metres as the device reported it; finite and positive if present.
    pub accuracy: Option<f64>,
    /// Direction of travel as the device reported it, degrees clockwise from north, -360..=360.
    pub course: Option<f64>,
    /// Metres a second as the device reported it, 0 or more.
    pub speed: Option<f64>,
}

impl Fix {
    pub(super) fn place(&self) -> Place {
        [self.lon, self.lat]
    }

    /// The whole second that holds the fix.
    pub(super) fn second(&self) -> i64 {
        self.time.div_euclid(SECOND)
    }
}

/// Fixes of one device in an order that is their own, by time first, each of them once: neither
/// the order of their arrival nor an exact copy can have an influence on what is made of them.
#[derive(Debug, Clone, Default)]
pub struct Fixes {
    fixes: Vec<Fix>,
    /// Times of fixes that repeated another exactly, ascending.
    copies: Vec<Micros>,
}

impl From<Vec<Fix>> for Fixes {
    fn from(mut fixes: Vec<Fix>) -> Self {
        let order = |a: &Fix, b: &Fix| {
            // Within a second the better reading comes first, then the earlier one.
            let number = |of: fn(&Fix) -> Option<f64>| {
                let known = |f: &Fix| of(f).unwrap_or(f64::INFINITY);
                known(a).total_cmp(&known(b))
            };
            (a.time.cmp(&b.time))
                .then(number(|f| f.accuracy))
                .then(a.lon.total_cmp(&b.lon))
                .then(a.lat.total_cmp(&b.lat))
                .then(number(|f| f.course))
                .then(number(|f| f.speed))
        };
        fixes.sort_unstable_by(order);
        let mut copies = Vec::new();
        fixes.dedup_by(|a, b| {
            let same = order(a, b).is_eq();
            if same {
                copies.push(a.time);
            }
            same
        });
        Fixes { fixes, copies }
    }
}

impl Fixes {
    pub fn all(&self) -> &[Fix] {
        &self.fixes
    }

    /// The fixes in `[from, to)`.
    pub fn between(&self, from: Micros, to: Micros) -> &[Fix] {
        let at = |time| self.fixes.partition_point(|f| f.time < time);
        let (from, to) = (at(from), at(to));
        &self.fixes[from..to.max(from)]
    }

    /// The time of the first fix at or after an instant.
    pub(super) fn next(&self, from: Micros) -> Option<Micros> {
        let at = self.fixes.partition_point(|f| f.time < from);
        self.fixes.get(at).map(|f| f.time)
    }

    /// How many fixes in `[from, to)` repeated another exactly.
    pub(super) fn copies(&self, from: Micros, to: Micros) -> usize {
        let until = |time| self.copies.partition_point(|copy| *copy < time);
        until(to).saturating_sub(until(from))
    }
}

/// A span of time of one device, `[start, end)`, aligned to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    pub start: Micros,
    pub end: Micros,
}

impl Window {
    pub fn holds(&self, time: Micros) -> bool {
        self.start <= time && time < self.end
    }
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
    /// `None` for a matched path.
    pub reason: Option<Reason>,
}

/// Where the line of a window that is not over ended.
#[derive(Debug, Clone, PartialEq)]
pub struct LineEnd {
    pub time: Micros,
    /// The path of the window that it ended with, if it is a matched one.
    pub path: Option<Path>,
}

/// Why a raw path is raw, in OSRM's words where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The map has no road near its fixes.
    NoSegment,
    /// Roads are near, but no way on them that the vehicle can have driven.
    NoMatch,
    /// OSRM gave no answer in time, time and again.
    TimedOut,
    /// OSRM gave no answer that is one, time and again.
    Unavailable,
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
    /// Greatest mean speed over a span that noise does not count in, m/s.
    pub top_speed: f64,
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

impl Dropped {
    pub(super) fn add(&mut self, other: Dropped) {
        self.duplicate += other.duplicate;
        self.null_island += other.null_island;
        self.teleport += other.teleport;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_order_nor_copies_have_an_influence() {
        let fix = |second: i64| Fix {
            time: second * SECOND,
            lon: 24.0,
            lat: 60.0,
            ..Fix::default()
        };
        let fixes = Fixes::from(vec![fix(2), fix(1), fix(2)]);
        assert_eq!(fixes.all(), Fixes::from(vec![fix(1), fix(2)]).all());
        assert_eq!(fixes.copies(0, 2 * SECOND), 0);
        assert_eq!(fixes.copies(0, 3 * SECOND), 1);
        assert_eq!(fixes.between(2 * SECOND, 9 * SECOND), [fix(2)]);
        assert_eq!(fixes.next(SECOND + 1), Some(2 * SECOND));
    }
}
