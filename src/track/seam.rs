//! Where two cells meet.
//!
//! A seam is a spot on the road at the first good fix at or after a cell's edge. It is decided by
//! the raw fixes around the edge alone, in a small request of its own, so that the cells on both
//! sides find the same one: the earlier line runs on to it, the later one begins there.

use super::clean::{self, Cleaned, SECOND};
use super::fit::{self, Anchors, Fitted};
use super::geo::{self, Place};
use super::lines::believable;
use super::road::{Asker, Road, Waypoint};
use super::smooth::{self, Smoothed};
use super::stops::{self, Standing};
use super::thin::{self, Nearby};
use super::{Fix, Micros, Recipe, Window};
use crate::osrm::{MatchError, Refusal};

/// The context on each side of an edge: at least so many seconds and so many distinct seconds.
const SPAN: Micros = 60 * SECOND;
const SECONDS: usize = 12;
/// Fixes on each side of the edge that the request holds.
const SIDE: usize = 6;
/// A radius is looked for so often.
const TRIES: u32 = 3;
/// The seam is one of so many fixes.
const CHOICE: usize = 4;

/// What happens at the start of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub kind: EdgeKind,
    /// `[from, to)`: the span whose fixes decided it.
    pub context: (Micros, Micros),
    pub refusal: Option<Refusal>,
    /// What was learned of the fixes around it.
    pub found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EdgeKind {
    /// The line goes on, through this spot.
    Seam(Seam),
    /// Nothing joins the two sides.
    Break,
    /// The cell has no fix that could be used: whoever comes from before must look beyond it.
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

pub fn prepare(sorted: &[Fix], recipe: &Recipe, noise: Option<f64>) -> Prepared {
    let cleaned = clean::clean(sorted);
    let smoothed = smooth::smooth(&cleaned.fixes, recipe, noise);
    let stops = stops::find(&smoothed, recipe);
    let segments = stops::segments(&smoothed, &stops, recipe);
    Prepared {
        cleaned,
        stops,
        segments,
    }
}

/// Decides the edge at the start of a cell.
pub fn edge(
    cell: Window,
    sorted: &[Fix],
    recipe: &Recipe,
    asker: &Asker,
) -> Result<Edge, MatchError> {
    let at = sorted.partition_point(|f| f.time < cell.start);
    let (before, from) = walk(sorted[..at].iter().rev(), cell.start, recipe.max_gap);
    let (after, to) = walk(sorted[at..].iter(), cell.start, recipe.max_gap);
    let context = (from.unwrap_or(cell.start.saturating_sub(recipe.max_gap)), {
        let full = cell.start.saturating_add(recipe.max_gap);
        to.map_or(full, |time| time.saturating_add(1))
    });
    let mut edge = Edge {
        kind: EdgeKind::Break,
        context,
        refusal: None,
        found: Found::default(),
    };
    let near = &sorted[at - before..at + after];
    if !clean::clean(near).fixes.iter().any(|f| cell.holds(f.time)) {
        if context.1 >= cell.end {
            edge.kind = EdgeKind::Nothing;
        }
        return Ok(edge);
    }
    let side = side(asker.size());
    let across = |prepared: &Prepared| {
        let segment = prepared.segments.iter().find(|segment| {
            segment[0].time < cell.start && segment[segment.len() - 1].time >= cell.start
        })?;
        let first = segment.partition_point(|p| p.time < cell.start);
        cell.holds(segment[first].time)
            .then(|| thin::around(segment, first, side))
    };
    let sounding = sound(near, recipe, asker, &across)?;
    if let Some(sounding) = sounding {
        edge.kind = EdgeKind::Seam(sounding.seam(cell));
        edge.found = sounding.found;
        edge.refusal = sounding.fitted.and_then(|fitted| fitted.road.refusal);
    }
    Ok(edge)
}

/// What a small request told about the fixes around it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Found {
    /// Their noise, where it is more than they show themselves.
    pub noise: Option<f64>,
    /// The radius that suited them; 0 where none was asked.
    pub radius: f64,
    /// How far off the road they came to lie with it, as a standard deviation.
    pub off: f64,
}

impl Found {
    pub fn or_worse(self, other: Found) -> Found {
        Found {
            noise: self.noise.into_iter().chain(other.noise).reduce(f64::max),
            radius: self.radius.max(other.radius),
            off: self.off.max(other.off),
        }
    }
}

pub struct Sounding {
    pub found: Found,
    near: Vec<Smoothed>,
    at: usize,
    /// `None` if all of it lies in one place.
    fitted: Option<Fitted>,
}

/// Asks about a few fixes with a small radius first. Where that proves too small the fixes are
/// noisier than they look: they are smoothed anew with what was found, and asked about again.
pub fn sound(
    span: &[Fix],
    recipe: &Recipe,
    asker: &Asker,
    choose: &dyn Fn(&Prepared) -> Option<Nearby>,
) -> Result<Option<Sounding>, MatchError> {
    let mut found = Found::default();
    for tries in 1.. {
        let Some(Nearby { points: near, at }) = choose(&prepare(span, recipe, found.noise)) else {
            return Ok(None);
        };
        if near.len() < 2 {
            return Ok(Some(Sounding {
                found,
                near,
                at,
                fitted: None,
            }));
        }
        found.radius = fit::first_radius(&near).max(found.radius);
        let fitted = fit::ask(&near, Anchors::default(), found.radius, asker)?;
        found.off = fitted.deviation();
        if tries == TRIES || fitted.fits() {
            return Ok(Some(Sounding {
                found,
                near,
                at,
                fitted: Some(fitted),
            }));
        }
        found = Found {
            noise: Some(found.off),
            radius: fitted.better_radius(),
            ..found
        };
    }
    Ok(None)
}

impl Sounding {
    fn seam(&self, cell: Window) -> Seam {
        let off_road = Seam {
            time: self.near[self.at].time,
            place: self.near[self.at].place,
            on_road: false,
        };
        let Some(Fitted { trace, road, .. }) = &self.fitted else {
            return off_road;
        };
        (self.at..self.near.len().min(self.at + CHOICE))
            .filter(|i| cell.holds(self.near[*i].time))
            .filter_map(|i| Some((cost(i, i - self.at, road, trace)?, i)))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .and_then(|(_, i)| {
                Some(Seam {
                    time: self.near[i].time,
                    place: road.spots[i]?.place,
                    on_road: true,
                })
            })
            .unwrap_or(off_road)
    }
}

/// Fixes on each side of the middle one that a request of at most so many points holds.
pub fn side(size: usize) -> usize {
    SIDE.min((size - 1) / 2).max(1)
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
