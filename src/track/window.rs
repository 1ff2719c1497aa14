//! One window, from its raw fixes to its paths and stops.

use super::clean::SECOND;
use super::fit::{self, Anchors, Fitted};
use super::geo;
use super::lines::{self, Strand};
use super::road::Asker;
use super::seam::{self, Found, Prepared, Seam};
use super::smooth::Smoothed;
use super::thin::{self, Nearby};
use super::{Fix, Micros, Outcome, Path, PathKind, Recipe, Stop, Window};
use crate::osrm::{MatchError, Refusal};

/// Fixes without noise are thinned to this distance, in metres, and keep a turn of this depth.
const CLEAN_SPACING: f64 = 5.0;
const CLEAN_TIP: f64 = 1.5;
/// Spikes up to this depth are taken out of the line of clean fixes, in metres.
const CLEAN_SPIKE: f64 = 3.0;
/// And up to so many radiuses of others, but none that are deeper than this.
const SPIKE: f64 = 2.0;
const DEEPEST_SPIKE: f64 = 30.0;

/// The two ends of a window.
pub struct Ends {
    pub start: Option<Seam>,
    pub end: Option<Seam>,
    /// What was learned of the fixes around them.
    pub found: Found,
}

/// Matches what lies between the two ends. `span` holds the fixes that may have a say, sorted.
pub fn outcome(
    window: Window,
    ends: &Ends,
    span: &[Fix],
    recipe: &Recipe,
    asker: &Asker,
) -> Result<Outcome, MatchError> {
    let mut found = ends.found;
    if found.radius == 0.0 {
        // No edge has told how noisy the fixes are.
        let middle = |prepared: &Prepared| middle(prepared, window, asker.size());
        if let Some(sounding) = seam::sound(span, recipe, asker, &middle)? {
            found = sounding.found;
        }
    }
    let prepared = seam::prepare(span, recipe, found.noise);
    let mut outcome = Outcome {
        stops: stops(&prepared, window),
        dropped: prepared.cleaned.dropped(window),
        ..Outcome::default()
    };
    let moving = moving(&prepared);
    for segment in &prepared.segments {
        if let Some(piece) = Piece::cut(segment, window, ends) {
            let refusal = piece.paths(window, found, asker, &moving, &mut outcome.paths)?;
            outcome.refusal = outcome.refusal.or(refusal);
        }
    }
    Ok(outcome)
}

/// A few fixes from the middle of the longest stretch of driving in the window.
fn middle(prepared: &Prepared, window: Window, size: usize) -> Option<Nearby> {
    let inside = |segment: &[Smoothed]| {
        let from = segment.partition_point(|p| p.time < window.start);
        let to = segment.partition_point(|p| p.time < window.end);
        (from, to)
    };
    let longest = prepared.segments.iter().max_by_key(|s| {
        let (from, to) = inside(s);
        to - from
    })?;
    let (from, to) = inside(longest);
    let side = seam::SIDE.min((size - 1) / 2).max(1);
    (to - from > 1).then(|| thin::around(longest, (from + to) / 2, side))
}

fn stops(prepared: &Prepared, window: Window) -> Vec<Stop> {
    let clipped = |standing: &super::stops::Standing| {
        let start = standing.start.max(window.start);
        let end = standing.end.min(window.end);
        let place = geo::stored(standing.place);
        let fixes = &prepared.cleaned.fixes;
        let count = |until: Micros| fixes.partition_point(|f| f.time < until);
        let fixes = count(end.saturating_add(1).min(window.end)).saturating_sub(count(start));
        (start < end).then_some(Stop {
            start,
            end,
            lon: place[0],
            lat: place[1],
            fixes,
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

/// What one window draws of one stretch of driving.
struct Piece {
    points: Vec<Smoothed>,
    start: Option<Seam>,
    end: Option<Seam>,
}

impl Piece {
    fn cut(segment: &[Smoothed], window: Window, ends: &Ends) -> Option<Piece> {
        let (first, last) = (segment[0].time, segment[segment.len() - 1].time);
        let start = ends
            .start
            .filter(|seam| first <= seam.time && seam.time < last);
        let end = ends
            .end
            .filter(|seam| first < window.end && seam.time <= last);
        // A request knows whole seconds only: nothing else in the second of a seam.
        let second = |time: Micros| time.div_euclid(SECOND);
        let inside = |p: &&Smoothed| {
            let after = ends
                .start
                .map_or(p.time >= window.start, |s| second(p.time) > second(s.time));
            let before = end.map_or(p.time < window.end, |s| second(p.time) < second(s.time));
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
        let here = points.first().is_some_and(|p| window.holds(p.time));
        (here && points.len() > 1).then_some(Piece { points, start, end })
    }

    fn paths(
        &self,
        window: Window,
        found: Found,
        asker: &Asker,
        moving: &[Micros],
        paths: &mut Vec<Path>,
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
        lines::mend(&mut road, &trace, asker)?;
        let spike = if clean {
            CLEAN_SPIKE
        } else {
            (SPIKE * radius).min(DEEPEST_SPIKE)
        };
        let mut strands = lines::strands(&road, &trace, &fixed, spike);
        let last_in = trace
            .partition_point(|w| w.time < window.end)
            .saturating_sub(1);
        if strands.iter().any(|strand| strand.from > last_in) {
            // Every path must begin in the window: what would change its kind beyond the
            // window's end is raw from the last waypoint in the window on.
            road.links.retain(|link| link.to <= last_in);
            strands = lines::strands(&road, &trace, &fixed, spike);
        }
        let count = strands.len();
        for (i, strand) in strands.into_iter().enumerate() {
            let open = i + 1 == count && self.end.is_none();
            let (start, end) = (trace[strand.from].time, trace[strand.to].time);
            let until = if open { end.saturating_add(1) } else { end };
            let before = |time: Micros| moving.partition_point(|t| *t < time);
            let fixes = before(until).saturating_sub(before(start));
            let refusal = road.refusal.as_ref();
            paths.extend(path(strand, start, end, fixes, refusal));
        }
        Ok(road.refusal)
    }
}

fn path(
    strand: Strand,
    start: Micros,
    end: Micros,
    fixes: usize,
    refusal: Option<&Refusal>,
) -> Option<Path> {
    let mut line: Vec<_> = strand
        .line
        .iter()
        .map(|place| geo::stored(*place))
        .collect();
    line.dedup();
    let confidence = strand.confidence / strand.tally.length.max(1.0);
    (line.len() > 1).then(|| Path {
        kind: strand.kind,
        start,
        end,
        line,
        confidence: (strand.kind == PathKind::Matched).then_some(confidence.clamp(0.0, 1.0)),
        fixes,
        quality: strand.tally.quality(strand.kind),
        reason: (strand.kind == PathKind::Raw)
            .then(|| refusal.map_or("NoRoad".to_owned(), |r| r.code.clone())),
    })
}
