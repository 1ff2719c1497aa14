//! Fewer fixes for OSRM: those that say something new.

use super::smooth::Smoothed;
use crate::track::geo;
use crate::track::recipe::prepare::{DEVIATIONS, FAR, FEW, SPACING, WIDEST};

fn apart(a: &Smoothed, b: &Smoothed, least: f64) -> bool {
    let noisy = b.deviation.map_or(0.0, |d| (DEVIATIONS * d).min(WIDEST));
    geo::distance(a.place, b.place) >= least.max(noisy)
}

/// Fixes to ask about, and all those that they stand for, from the first of them to the last.
pub struct Thinned {
    pub kept: Vec<Smoothed>,
    pub all: Vec<Smoothed>,
}

/// Keeps the first and the last fix and those between that lie `least` metres apart, and where
/// the vehicle turned round: a fix from which it came back by more than `tip` metres.
pub fn thin(fixes: &[Smoothed], least: f64, tip: f64) -> Thinned {
    Thinned {
        kept: keep(fixes, least, tip),
        all: fixes.to_vec(),
    }
}

fn keep(fixes: &[Smoothed], least: f64, tip: f64) -> Vec<Smoothed> {
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
    pub thinned: Thinned,
    /// Index of the one in the middle.
    pub at: usize,
}

/// Thins outward from the fix `middle`: at most `side` fixes to each side of it, and but a few where
/// they lie far from each other.
pub fn around(fixes: &[Smoothed], middle: usize, side: usize) -> Nearby {
    let before = outward(fixes[..middle].iter().rev(), &fixes[middle], side);
    let after = outward(fixes[middle + 1..].iter(), &fixes[middle], side);
    let at = before.len();
    let mut kept: Vec<Smoothed> = before.into_iter().rev().collect();
    kept.push(fixes[middle]);
    kept.extend(after);
    let (first, last) = (kept[0].time, kept[kept.len() - 1].time);
    let all = fixes.iter().filter(|f| (first..=last).contains(&f.time));
    Nearby {
        thinned: Thinned {
            all: all.copied().collect(),
            kept,
        },
        at,
    }
}

fn outward<'a>(
    fixes: impl Iterator<Item = &'a Smoothed>,
    from: &Smoothed,
    side: usize,
) -> Vec<Smoothed> {
    let (mut last, mut kept, mut way) = (*from, Vec::new(), 0.0);
    for fix in fixes {
        if kept.len() == side || (kept.len() >= FEW && way >= FAR) {
            break;
        }
        if apart(&last, fix, SPACING) {
            kept.push(*fix);
            way += geo::distance(last.place, fix.place);
            last = *fix;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::fix;

    fn points(ways: &[f64]) -> Vec<Smoothed> {
        let at = |(i, x): (usize, &f64)| {
            let f = fix(i as f64, *x, 0.0);
            Smoothed {
                time: f.time,
                place: f.place(),
                deviation: None,
                course: None,
            }
        };
        ways.iter().enumerate().map(at).collect()
    }

    fn kept(ways: &[f64], tip: f64) -> Vec<i64> {
        let start = points(ways)[0].time;
        keep(&points(ways), 20.0, tip)
            .iter()
            .map(|p| (p.time - start) / 1_000_000)
            .collect()
    }

    #[test]
    fn the_ends_stay_and_what_lies_apart() {
        assert_eq!(
            kept(&[0.0, 5.0, 21.0, 25.0, 60.0, 65.0], f64::INFINITY),
            [0, 2, 5]
        );
        assert_eq!(kept(&[0.0, 1.0], f64::INFINITY), [0, 1]);
        assert_eq!(kept(&[0.0], f64::INFINITY), [0]);
    }

    #[test]
    fn a_turn_stays_if_asked_for() {
        assert_eq!(kept(&[0.0, 10.0, 15.0, 5.0, -30.0], 2.0), [0, 2, 4]);
        assert_eq!(kept(&[0.0, 10.0, 15.0, 5.0, -30.0], f64::INFINITY), [0, 4]);
    }

    #[test]
    fn known_noise_widens_the_distance() {
        let mut noisy = points(&[0.0, 25.0, 50.0, 75.0, 100.0]);
        noisy.iter_mut().for_each(|p| p.deviation = Some(15.0));
        assert_eq!(keep(&noisy, 20.0, f64::INFINITY).len(), 3);
    }

    #[test]
    fn around_keeps_to_its_side() {
        let nearby = around(&points(&[0.0, 30.0, 60.0, 61.0, 90.0, 120.0]), 2, 1);
        let kept = &nearby.thinned.kept;
        let start = kept[nearby.at].time;
        let times: Vec<i64> = kept.iter().map(|p| (p.time - start) / 1_000_000).collect();
        assert_eq!(times, [-1, 0, 2]);
    }
}
