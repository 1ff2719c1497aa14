//! Fewer fixes for OSRM: those that say something new.

use super::geo;
use super::smooth::Smoothed;

/// Fixes nearer than this to the last one kept say nothing new, in metres.
const SPACING: f64 = 20.0;
/// Nor do those whose distance may be noise: so many standard deviations.
const DEVIATIONS: f64 = 3.0;
const WIDEST: f64 = 60.0;

fn apart(a: &Smoothed, b: &Smoothed) -> bool {
    let least = b
        .deviation
        .map_or(SPACING, |d| (DEVIATIONS * d).clamp(SPACING, WIDEST));
    geo::distance(a.place, b.place) >= least
}

/// Keeps the first and the last fix and those between that lie apart.
pub fn thin(fixes: &[Smoothed]) -> Vec<Smoothed> {
    let mut kept: Vec<Smoothed> = Vec::new();
    for fix in fixes {
        if kept.last().is_none_or(|last| apart(last, fix)) {
            kept.push(*fix);
        }
    }
    if let (Some(last), Some(end)) = (kept.last().copied(), fixes.last().copied())
        && last.time != end.time
    {
        // The end stands where it is: the one before it gives way.
        if kept.len() > 1 && !apart(&last, &end) {
            kept.pop();
        }
        kept.push(end);
    }
    kept
}

/// The thinned fixes around one of them.
pub struct Nearby {
    pub points: Vec<Smoothed>,
    /// Index of the one in the middle.
    pub at: usize,
}

/// Thins outward from the fix `middle`, at most `side` fixes to each side of it.
pub fn around(fixes: &[Smoothed], middle: usize, side: usize) -> Nearby {
    let before = outward(fixes[..middle].iter().rev(), &fixes[middle], side);
    let after = outward(fixes[middle + 1..].iter(), &fixes[middle], side);
    let at = before.len();
    let mut points: Vec<Smoothed> = before.into_iter().rev().collect();
    points.push(fixes[middle]);
    points.extend(after);
    Nearby { points, at }
}

fn outward<'a>(
    fixes: impl Iterator<Item = &'a Smoothed>,
    from: &Smoothed,
    side: usize,
) -> Vec<Smoothed> {
    let (mut last, mut kept) = (*from, Vec::new());
    for fix in fixes {
        if kept.len() == side {
            break;
        }
        if apart(&last, fix) {
            kept.push(*fix);
            last = *fix;
        }
    }
    kept
}
