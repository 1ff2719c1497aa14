//! One cell, from its raw fixes to stretches of line and standings.
//!
//! A cell is five minutes of a device, whatever the length of a window is: windows are slices of
//! cells or unions of them, so that their length does not show in the line.

use super::clean::{Cleaned, SECOND};
use super::fit::{self, Anchors, Fitted};
use super::geo;
use super::lines;
use super::mend;
use super::road::Asker;
use super::seam::{self, Found, Prepared, Seam};
use super::smooth::Smoothed;
use super::stops::Standing;
use super::stretch::Stretch;
use super::thin::{self, Nearby};
use super::{Fix, Micros, PathKind, Recipe, Window};
use crate::osrm::{MatchError, Refusal};

/// Fixes without noise are thinned to this distance, in metres, and keep a turn of this depth.
const CLEAN_SPACING: f64 = 5.0;
const CLEAN_TIP: f64 = 1.5;
/// Spikes up to this depth are taken out of the line of clean fixes, in metres.
const CLEAN_SPIKE: f64 = 3.0;
/// And up to so many radiuses of others, but none that are deeper than this.
const SPIKE: f64 = 2.0;
const DEEPEST_SPIKE: f64 = 30.0;

/// The two ends of a cell.
pub struct Ends {
    pub start: Option<Seam>,
    pub end: Option<Seam>,
    /// What was learned of the fixes around them.
    pub found: Found,
}

/// All that becomes of one cell: a pure function of the fixes in its context.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// Ascending; each begins in the cell.
    pub stretches: Vec<Stretch>,
    /// Clipped to the cell.
    pub standings: Vec<Standing>,
    pub cleaned: Cleaned,
    /// `[from, to)`: the span whose fixes decided all this.
    pub context: (Micros, Micros),
    pub refusal: Option<Refusal>,
}

/// Matches what lies between the two ends. `span` holds the fixes that may have a say, sorted.
pub fn settle(
    cell: Window,
    ends: &Ends,
    span: &[Fix],
    recipe: &Recipe,
    asker: &Asker,
) -> Result<Cell, MatchError> {
    let mut found = ends.found;
    if found.radius == 0.0 {
        // No edge has told how noisy the fixes are.
        let middle = |prepared: &Prepared| middle(prepared, cell, asker.size());
        if let Some(sounding) = seam::sound(span, recipe, asker, &middle)? {
            found = sounding.found;
        }
    }
    let prepared = seam::prepare(span, recipe, found.noise);
    let mut settled = Cell {
        standings: standings(&prepared, cell),
        ..Cell::default()
    };
    let moving = moving(&prepared);
    for segment in &prepared.segments {
        if let Some(piece) = Piece::cut(segment, cell, ends) {
            let refusal =
                piece.draw(cell, found, recipe, asker, &moving, &mut settled.stretches)?;
            settled.refusal = settled.refusal.or(refusal);
        }
    }
    settled.cleaned = prepared.cleaned;
    Ok(settled)
}

/// A few fixes from the middle of the longest stretch of driving in the cell.
fn middle(prepared: &Prepared, cell: Window, size: usize) -> Option<Nearby> {
    let inside = |segment: &[Smoothed]| {
        let from = segment.partition_point(|p| p.time < cell.start);
        let to = segment.partition_point(|p| p.time < cell.end);
        (from, to)
    };
    let longest = prepared.segments.iter().max_by_key(|segment| {
        let (from, to) = inside(segment);
        to - from
    })?;
    let (from, to) = inside(longest);
    (to - from > 1).then(|| thin::around(longest, (from + to) / 2, seam::side(size)))
}

fn standings(prepared: &Prepared, cell: Window) -> Vec<Standing> {
    let clipped = |standing: &Standing| {
        let (start, end) = (standing.start.max(cell.start), standing.end.min(cell.end));
        (start < end).then_some(Standing {
            start,
            end,
            ..*standing
        })
    };
    prepared.stops.iter().filter_map(clipped).collect()
}

/// The times of the fixes that belong to no stop.
fn moving(prepared: &Prepared) -> Vec<Micros> {
    let parked = |time: Micros| {
        let next = prepared.stops.partition_point(|stop| stop.end < time);
        prepared
            .stops
            .get(next)
            .is_some_and(|stop| stop.start <= time)
    };
    prepared
        .cleaned
        .fixes
        .iter()
        .map(|f| f.time)
        .filter(|time| !parked(*time))
        .collect()
}

/// What one cell draws of one segment of driving.
struct Piece {
    points: Vec<Smoothed>,
    start: Option<Seam>,
    end: Option<Seam>,
}

impl Piece {
    fn cut(segment: &[Smoothed], cell: Window, ends: &Ends) -> Option<Piece> {
        let (first, last) = (segment[0].time, segment[segment.len() - 1].time);
        let start = ends
            .start
            .filter(|seam| first <= seam.time && seam.time < last);
        let end = ends
            .end
            .filter(|seam| first < cell.end && seam.time <= last);
        // Nothing else in the second of a seam.
        let second = |time: Micros| time.div_euclid(SECOND);
        let inside = |p: &&Smoothed| {
            let after = ends
                .start
                .map_or(p.time >= cell.start, |s| second(p.time) > second(s.time));
            let before = end.map_or(p.time < cell.end, |s| second(p.time) < second(s.time));
            after && before
        };
        let anchor = |seam: Seam| Smoothed {
            time: seam.time,
            place: seam.place,
            deviation: None,
        };
        let mut points: Vec<Smoothed> = start.map(anchor).into_iter().collect();
        points.extend(segment.iter().filter(inside));
        points.extend(end.map(anchor));
        let here = points.first().is_some_and(|p| cell.holds(p.time));
        (here && points.len() > 1).then_some(Piece { points, start, end })
    }

    fn draw(
        &self,
        cell: Window,
        found: Found,
        recipe: &Recipe,
        asker: &Asker,
        moving: &[Micros],
        stretches: &mut Vec<Stretch>,
    ) -> Result<Option<Refusal>, MatchError> {
        // Fixes without noise show every turn: nothing of it may be lost.
        let clean = found.radius > 0.0 && found.off < fit::CLEAN;
        let (spacing, tip) = if clean {
            (CLEAN_SPACING, CLEAN_TIP)
        } else {
            (thin::SPACING, f64::INFINITY)
        };
        let thinned = thin::thin(&self.points, spacing, tip);
        if geo::length(&thinned.iter().map(|p| p.place).collect::<Vec<_>>()) < 1.0 {
            return Ok(None);
        }
        let mut fixed = vec![None; thinned.len()];
        fixed[0] = self.start.map(|seam| seam.place);
        fixed[thinned.len() - 1] = self.end.map(|seam| seam.place);
        let on_road = |seam: Option<Seam>| seam.is_some_and(|seam| seam.on_road);
        let anchors = Anchors {
            first: on_road(self.start),
            last: on_road(self.end),
        };
        let first = found.radius.max(fit::first_radius(&thinned));
        let Fitted {
            trace,
            mut road,
            radius,
        } = fit::fit(&thinned, anchors, first, asker)?;
        mend::mend(&mut road, &trace, asker)?;
        let spike = if clean {
            CLEAN_SPIKE
        } else {
            (SPIKE * radius).min(DEEPEST_SPIKE)
        };
        // A window's edge parts strands, but none may begin beyond the cell's end.
        let last_in = trace
            .partition_point(|w| w.time < cell.end)
            .saturating_sub(1);
        let window = |i: usize| recipe.slice(trace[i].time);
        let parted = |a: usize, b: usize| b <= last_in && window(a) != window(b);
        let mut strands = lines::strands(&road, &trace, &fixed, spike, &parted);
        if strands.iter().any(|strand| strand.from > last_in) {
            // What would change its kind beyond the cell's end is raw from the last waypoint in
            // the cell on.
            road.links.retain(|link| link.to <= last_in);
            strands = lines::strands(&road, &trace, &fixed, spike, &parted);
        }
        let count = strands.len();
        for (i, strand) in strands.into_iter().enumerate() {
            let open = i + 1 == count && self.end.is_none();
            let (start, end) = (trace[strand.from].time, trace[strand.to].time);
            let until = if open { end.saturating_add(1) } else { end };
            let before = |time: Micros| moving.partition_point(|t| *t < time);
            let reason = road
                .refusal
                .as_ref()
                .map_or("NoRoad", |refusal| &refusal.code);
            stretches.push(Stretch {
                kind: strand.kind,
                start,
                end,
                line: strand.line,
                confidence: strand.confidence,
                tally: strand.tally,
                fixes: before(until).saturating_sub(before(start)),
                reason: (strand.kind == PathKind::Raw).then(|| reason.to_owned()),
            });
        }
        Ok(road.refusal)
    }
}
