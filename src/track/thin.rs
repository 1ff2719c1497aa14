//! Fewer fixes for OSRM: those that say something new.

use super::geo;
use super::smooth::Smoothed;

/// Fixes nearer than this to the last one kept say nothing new, in metres.
pub const SPACING: f64 = 20.0;
/// Nor do those whose distance may be noise: so many standard deviations.
const DEVIATIONS: f64 = 3.0;
const WIDEST: f64 = 60.0;

fn apart(a: &Smoothed, b: &Smoothed, least: f64) -> bool {
    let noisy = b.deviation.map_or(0.0, |d| (DEVIATIONS * d).min(WIDEST));
    geo::distance(a.place, b.place) >= least.max(noisy)
}

/// Keeps the first and the last fix and those between that lie `least` metres apart, and where
/// the vehicle turned round: a fix from which it came back by more than `tip` metres.
pub fn thin(fixes: &[Smoothed], least: f64, tip: f64) -> Vec<Smoothed> {
    let mut kept: Vec<Smoothed> = Vec::new();
    let mut farthest: Option<(f64, Smoothed)> = None;
    for fix in fixes {
        let Some(last) = kept.last() else {
            kept.push(*fix);
            continue;
        };
        let away = geo::distance(last.place, fix.place);
        match farthest {
            Some((most, turn)) if away < most - tip => {
                kept.push(turn);
                farthest = None;
            }
            Some((most, _)) if away <= most => {}
            _ => farthest = Some((away, *fix)),
        }
        if kept.last().is_some_and(|last| apart(last, fix, least)) {
            kept.push(*fix);
            farthest = None;
        }
    }
    if let (Some(last), Some(end)) = (kept.last().copied(), fixes.last().copied())
        && last.time != end.time
    {
        // The end stands where it is: the one before it gives way.
        if kept.len() > 1 && !apart(&last, &end, least) {
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
        if apart(&last, fix, SPACING) {
            kept.push(*fix);
            last = *fix;
        }
    }
    kept
}
