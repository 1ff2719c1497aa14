//! Where two windows meet.
//!
//! A seam is a spot on the road at the first good fix at or after a window's edge. It is decided
//! by the raw fixes around the edge alone, in a small request of its own, so that the windows on
//! both sides find the same one: the earlier line runs on to it, the later one begins there.

use super::clean::{self, Cleaned, SECOND};
use super::fit::{self, Anchors, Fitted};
use super::geo::{self, Place};
use super::lines::believable;
use super::road::{Asker, Road, Waypoint};
use super::smooth::{self, Smoothed};
use super::stops::{self, Standing};
use super::thin;
use super::{Fix, Micros, Recipe, Window};
use crate::osrm::{MatchError, Refusal};

/// The context on each side of an edge: at least so many seconds and so many distinct seconds.
const SPAN: Micros = 60 * SECOND;
const SECONDS: usize = 12;
/// Fixes on each side of the edge that the request holds.
const SIDE: usize = 8;
/// The seam is one of so many fixes.
const CHOICE: usize = 4;

/// What happens at the edge of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub kind: EdgeKind,
    /// `[from, to)`: the span whose fixes decided it.
    pub context: (Micros, Micros),
    pub refusal: Option<Refusal>,
    /// The radius that suited the fixes around it; 0 if none was needed.
    pub radius: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EdgeKind {
    /// The line goes on, through this spot.
    Seam(Seam),
    /// Nothing joins the two sides.
    Break,
    /// The window has no fix that could be used: whoever comes from before must look beyond it.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seam {
    pub time: Micros,
    pub place: Place,
    pub on_road: bool,
}

/// The fixes of a span, made ready.
pub struct Prepared {
    pub cleaned: Cleaned,
    pub stops: Vec<Standing>,
    pub segments: Vec<Vec<Smoothed>>,
}

pub fn prepare(sorted: &[Fix], recipe: &Recipe) -> Prepared {
    let cleaned = clean::clean(sorted);
    let smoothed = smooth::smooth(&cleaned.fixes, recipe);
    let stops = stops::find(&smoothed, recipe);
    let segments = stops::segments(&smoothed, &stops, recipe);
    Prepared {
        cleaned,
        stops,
        segments,
    }
}

/// Decides the edge at the start of a window.
pub fn edge(
    window: Window,
    sorted: &[Fix],
    recipe: &Recipe,
    asker: &Asker,
) -> Result<Edge, MatchError> {
    let at = sorted.partition_point(|f| f.time < window.start);
    let (before, from) = walk(sorted[..at].iter().rev(), window.start, recipe.max_gap);
    let (after, to) = walk(sorted[at..].iter(), window.start, recipe.max_gap);
    let context = (
        from.unwrap_or(window.start.saturating_sub(recipe.max_gap)),
        {
            let full = window.start.saturating_add(recipe.max_gap);
            to.map_or(full, |time| time.saturating_add(1))
        },
    );
    let decided = |kind| {
        Ok(Edge {
            kind,
            context,
            refusal: None,
            radius: 0.0,
        })
    };
    let prepared = prepare(&sorted[at - before..at + after], recipe);
    if !prepared.cleaned.fixes.iter().any(|f| window.holds(f.time)) {
        let seen_whole = context.1 >= window.end;
        return decided(if seen_whole {
            EdgeKind::Nothing
        } else {
            EdgeKind::Break
        });
    }
    let across = prepared.segments.iter().find(|segment| {
        segment[0].time < window.start && segment[segment.len() - 1].time >= window.start
    });
    match across {
        None => decided(EdgeKind::Break),
        Some(segment) => {
            let (seam, refusal, radius) = place(segment, window, asker)?;
            let kind = seam.map_or(EdgeKind::Break, EdgeKind::Seam);
            Ok(Edge {
                kind,
                context,
                refusal,
                radius,
            })
        }
    }
}

/// How many fixes outward from an edge belong to its context, and the time of the last of them if
/// they are enough.
fn walk<'a>(
    fixes: impl Iterator<Item = &'a Fix>,
    edge: Micros,
    max_gap: Micros,
) -> (usize, Option<Micros>) {
    let (mut count, mut distinct, mut last) = (0, 0, None);
    for fix in fixes {
        let away = fix.time.saturating_sub(edge).saturating_abs();
        // `[edge - max_gap, edge + max_gap)`
        if away > max_gap || (away == max_gap && fix.time > edge) {
            break;
        }
        count += 1;
        if last != Some(fix.second()) {
            last = Some(fix.second());
            distinct += 1;
        }
        if away >= SPAN && distinct >= SECONDS {
            return (count, Some(fix.time));
        }
    }
    (count, None)
}

fn place(
    segment: &[Smoothed],
    window: Window,
    asker: &Asker,
) -> Result<(Option<Seam>, Option<Refusal>, f64), MatchError> {
    let first = segment.partition_point(|p| p.time < window.start);
    if !window.holds(segment[first].time) {
        return Ok((None, None, 0.0));
    }
    let side = SIDE.min((asker.size() - 1) / 2).max(1);
    let (near, at) = thin::around(segment, first, side);
    if near.len() < 2 {
        // All of it lies in one place: that is the seam.
        return Ok((Some(off_road(&near[at])), None, 0.0));
    }
    let first = fit::first_radius(&near);
    let Fitted {
        trace,
        road,
        radius,
    } = fit::fit(&near, Anchors::default(), first, asker)?;
    let best = (at..near.len().min(at + CHOICE))
        .filter(|i| window.holds(near[*i].time))
        .filter_map(|i| Some((cost(i, i - at, &road, &trace)?, i)))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let seam = match best.and_then(|(_, i)| Some((i, road.spots[i]?))) {
        Some((i, spot)) => Seam {
            time: near[i].time,
            place: spot.place,
            on_road: true,
        },
        None => off_road(&near[at]),
    };
    Ok((Some(seam), road.refusal, radius))
}

fn off_road(fix: &Smoothed) -> Seam {
    Seam {
        time: fix.time,
        place: fix.place,
        on_road: false,
    }
}

/// How little a spot suits as a seam, in metres; `None`: not at all.
fn cost(i: usize, later: usize, road: &Road, trace: &[Waypoint]) -> Option<f64> {
    let spot = road.spots[i]?;
    let good = |end: &dyn Fn(&super::road::Link) -> bool| {
        road.links
            .iter()
            .any(|link| end(link) && believable(link, trace))
    };
    let (left, right) = (good(&|link| link.to == i), good(&|link| link.from == i));
    if !left && !right {
        return None;
    }
    let penalty = |bad: bool, metres: f64| if bad { metres } else { 0.0 };
    Some(
        geo::distance(spot.place, trace[i].place)
            + 6.0 * later as f64
            + penalty(!spot.settled, 15.0)
            + penalty(!left, 20.0)
            + penalty(!right, 20.0),
    )
}
