//! The line of a window that is not over yet, from where it ended before: provisional.
//!
//! Matching a slot anew with every few fixes costs many times what the whole slot costs once. So the fixes that
//! have just come are asked about alone, with a few that came before them; what becomes of them lasts until the
//! slot is over and matched as a whole.

use super::ask::{Asker, Fitted, find_unmapped, fit_roughly};
use super::draw::{self, Fixed, Stretch};
use super::geo::{self, Place};
use super::model::{Fixes, Grade, LineEnd, Micros, Outcome, Path, PathKind, Quality, Window};
use super::prepare::{Smoothed, Standing, Thinned, allowance, prepare, stays, thin};
use super::recipe::Recipe;
use super::recipe::draw::{DEEPEST_SPIKE, SPIKE};
use super::recipe::onward::{LATELY, LEAST_STEP, LONGEST, SPACING};
use crate::osrm::{MatchError, Matcher};

/// Matches what came after the instant up to which there is a line. `fixes` hold a few before it, too, and none
/// beyond the window. A path that goes on is told as a whole.
///
/// Where a vehicle stays nothing is drawn, and the next fixes are to be asked about from the same instant on;
/// where it stays for long there is a stop.
pub fn match_onward(
    window: Window,
    line_end: &LineEnd,
    fixes: &Fixes,
    recipe: &Recipe,
    matcher: &dyn Matcher,
) -> Result<Outcome, MatchError> {
    let from = line_end.time;
    let asker = Asker::new(matcher);
    // One window holds all: nothing is parted at an edge.
    let recipe = Recipe {
        window: Micros::MAX,
        ..recipe.clone()
    };
    let prepared = prepare(fixes.all(), &recipe, None);
    let moving = prepared.moving();
    let mut outcome = Outcome {
        context: (window.start, window.end),
        ..Outcome::default()
    };
    let mut stretches = Vec::new();
    for segment in &prepared.segments {
        let Some(piece) = Onward::cut(segment, from) else {
            continue;
        };
        let (fitted, first) = piece.ask(&asker)?;
        stretches.extend(draw_on(&fitted, first, window, &recipe, &moving));
        outcome.refusal = outcome.refusal.or(fitted.matched.refusal);
    }
    // Where no road is under the fix that the line ended at, it is drawn on from one before that: not from then. The line
    // of a window begins with its first fix, as it does once it is settled.
    let begin = match fixes.next(window.start) {
        Some(first) if from < window.start => first,
        _ => window.start.max(from),
    };
    outcome.paths = draw::paths(stretches, recipe.tolerance)
        .into_iter()
        .map(|path| Path {
            start: path.start.max(begin),
            ..path
        })
        .filter(|path| path.start < path.end)
        .collect();
    if let (Some(known), Some(first)) = (&line_end.path, outcome.paths.first_mut())
        && goes_on(known, first)
    {
        *first = joined(known, first);
    }
    // Of a vehicle that was heard of before, it is not known whether a silence lies between; of one that was not,
    // whether it stays.
    let seen = prepared.sightings.iter().map(|seen| Standing {
        end: seen.start,
        ..*seen
    });
    let all_new = fixes.next(Micros::MIN).is_some_and(|first| first > from);
    let standings = prepared.standings.iter().copied();
    outcome.stops = standings
        .chain(seen.filter(|_| all_new))
        .filter(|standing| standing.end > from)
        .filter_map(|standing| draw::stop(&standing, &prepared.cleaned, window))
        .collect();
    outcome.osrm_calls = asker.take_calls();
    Ok(outcome)
}

/// What is asked about of one segment of driving.
struct Onward {
    thinned: Thinned,
    /// Index of the fix kept that the line ended at; `None` if all of it is new.
    at: Option<usize>,
}

impl Onward {
    /// `None` where there is nothing new to draw.
    fn cut(segment: &[Smoothed], from: Micros) -> Option<Onward> {
        let known = segment.partition_point(|p| p.time <= from);
        let new = &segment[known.saturating_sub(1)..];
        if known == segment.len() || (stays(new) && !comes_on(segment, new[0].place)) {
            return None;
        }
        let keep = |points: &[Smoothed]| thin(points, SPACING, f64::INFINITY).kept;
        let (kept, at) = match known.checked_sub(1) {
            // Where the line ended before has to be kept.
            Some(last) => {
                let mut kept = keep(&segment[..=last]);
                let at = kept.len() - 1;
                kept.extend_from_slice(&keep(&segment[last..])[1..]);
                (kept, Some(at))
            }
            None => (keep(segment), None),
        };
        let all = segment.to_vec();
        Some(Onward {
            thinned: Thinned { kept, all },
            at,
        })
    }

    /// What OSRM says since the line ended, and where that was.
    fn ask(&self, asker: &Asker) -> Result<(Fitted, Option<Place>), MatchError> {
        let mut fitted = fit_roughly(&self.thinned, asker)?;
        let mut first = None;
        if let Some(at) = self.at {
            let at = fitted.matched.leg_over(at).map_or(at, |leg| leg.from);
            fitted.trace.drain(..at);
            fitted.matched = fitted.matched.since(at);
            first = Some(fitted.matched.place(0, &fitted.trace));
        }
        find_unmapped(&mut fitted, asker)?;
        Ok((fitted, first))
    }
}

/// Whether a vehicle that is still within reach of a place is on its way from there: a run every few seconds sees
/// little of it, but it came far in the last seconds, those before that place among them.
fn comes_on(segment: &[Smoothed], from: Place) -> bool {
    let newest = segment[segment.len() - 1];
    let since = segment.partition_point(|p| newest.time.saturating_sub(p.time) > LATELY);
    geo::distance(segment[since].place, newest.place) > allowance(&newest)
        && geo::distance(from, newest.place) > LEAST_STEP
}

fn draw_on(
    fitted: &Fitted,
    first: Option<Place>,
    window: Window,
    recipe: &Recipe,
    moving: &[Micros],
) -> Vec<Stretch> {
    let fixed = Fixed { first, last: None };
    let spike = (SPIKE * fitted.radius).min(DEEPEST_SPIKE);
    draw::draw(fitted, fixed, spike, window, recipe, moving)
}

fn goes_on(known: &Path, more: &Path) -> bool {
    known.end == more.start && more.kind == PathKind::Matched && known.line.len() < LONGEST
}

/// A matched path and what it goes on with, which has its last fix, too.
fn joined(known: &Path, more: &Path) -> Path {
    let mut line = known.line.clone();
    line.extend_from_slice(&more.line);
    line.dedup();
    let new = more.fixes.saturating_sub(1);
    let mean =
        |a: f64, of_a: f64, b: f64, of_b: f64| (a * of_a + b * of_b) / (of_a + of_b).max(1.0);
    let by_fixes = |a, b| mean(a, known.fixes as f64, b, new as f64);
    let (a, b) = (&known.quality, &more.quality);
    let confidence = |path: &Path| path.confidence.unwrap_or(0.0);
    Path {
        end: more.end,
        line,
        confidence: Some(mean(
            confidence(known),
            a.length,
            confidence(more),
            b.length,
        )),
        fixes: known.fixes + new,
        quality: Quality {
            matched_share: by_fixes(a.matched_share, b.matched_share),
            mean_offset: match (a.mean_offset, b.mean_offset) {
                (Some(a), Some(b)) => Some(by_fixes(a, b)),
                (a, b) => a.or(b),
            },
            length: a.length + b.length,
            fixes_length: a.fixes_length + b.fixes_length,
            top_speed: a.top_speed.max(b.top_speed),
            grade: match a.grade {
                Grade::Good => b.grade,
                worse => worse,
            },
        },
        ..known.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::Fix;
    use crate::track::model::{PathKind, SECOND};
    use crate::track::tests::city::{City, START, drive, fix, recipe};

    const WINDOW: Window = Window {
        start: START + 300 * SECOND,
        end: START + 600 * SECOND,
    };

    /// The line of the fixes until a second, drawn from another second on.
    fn onward(fixes: &[Fix], from: i64, until: i64) -> Outcome {
        onward_of(fixes, from, until, None)
    }

    fn onward_of(fixes: &[Fix], from: i64, until: i64, path: Option<Path>) -> Outcome {
        let known = fixes
            .iter()
            .filter(|f| f.time <= START + from * SECOND)
            .count();
        let new = fixes
            .iter()
            .filter(|f| f.time < START + until * SECOND)
            .count();
        let near: Vec<Fix> = fixes[known.saturating_sub(8)..new].to_vec();
        let line_end = LineEnd {
            time: START + from * SECOND,
            path,
        };
        match_onward(
            WINDOW,
            &line_end,
            &near.into(),
            &recipe(300),
            &City::default(),
        )
        .unwrap()
    }

    #[test]
    fn a_line_goes_on_where_it_ended() {
        let fixes = drive(600, 3, 6.0);
        let paths = [(360, 420), (417, 480)].map(|(from, to)| onward(&fixes, from, to).paths);
        for (paths, begin) in paths.iter().zip([360, 417]) {
            assert_eq!(paths.len(), 1, "{paths:?}");
            assert_eq!(paths[0].kind, PathKind::Matched);
            assert_eq!(paths[0].start, START + begin * SECOND);
        }
        let (end, begin) = (paths[0][0].line.last().unwrap(), paths[1][0].line[0]);
        assert!(geo::distance(*end, begin) < 15.0);
    }

    #[test]
    fn a_path_that_goes_on_is_told_as_a_whole() {
        let fixes = drive(600, 3, 6.0);
        let known = onward(&fixes, 360, 420).paths.remove(0);
        let more = onward(&fixes, 417, 480).paths.remove(0);
        let whole = onward_of(&fixes, 417, 480, Some(known.clone())).paths;
        assert_eq!(whole.len(), 1);
        let whole = &whole[0];
        assert_eq!((whole.start, whole.end), (known.start, more.end));
        assert_eq!(whole.fixes, known.fixes + more.fixes - 1);
        assert_eq!(whole.line[..known.line.len()], known.line);
        assert!(whole.line.ends_with(&more.line[1..]));
        assert!(whole.line.windows(2).all(|step| step[0] != step[1]));
        let length = known.quality.length + more.quality.length;
        assert!((whole.quality.length - length).abs() < 1e-9);
        assert_eq!(whole.quality.grade, Grade::Good);
        assert!(
            whole
                .confidence
                .is_some_and(|share| (0.0..=1.0).contains(&share))
        );
    }

    #[test]
    fn what_does_not_touch_a_path_is_one_of_its_own() {
        let fixes = drive(600, 3, 6.0);
        let known = onward(&fixes, 360, 420).paths.remove(0);
        let more = onward(&fixes, 417, 480).paths;
        let apart = |change: fn(&mut Path)| {
            let mut other = known.clone();
            change(&mut other);
            onward_of(&fixes, 417, 480, Some(other)).paths
        };
        assert_eq!(apart(|path| path.end -= SECOND), more);
        // However long a window is, not all of it is written with each run.
        assert_eq!(apart(|path| path.line = vec![[24.0, 60.0]; LONGEST]), more);
    }

    #[test]
    fn a_few_fixes_are_one_small_request() {
        let fixes = drive(600, 3, 0.0);
        let city = City::default();
        let near: Vec<Fix> = fixes[112..140].to_vec();
        let line_end = LineEnd {
            time: near[8].time,
            path: None,
        };
        match_onward(WINDOW, &line_end, &near.into(), &recipe(300), &city).unwrap();
        let asked = city.asked.borrow();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].points.len() <= 28);
    }

    #[test]
    fn the_line_of_a_window_begins_within_it() {
        let fixes = drive(600, 3, 6.0);
        let paths = onward(&fixes, 297, 330).paths;
        assert_eq!(paths[0].start, WINDOW.start);
        assert!(paths.iter().all(|path| path.start < path.end));
    }

    #[test]
    fn a_slow_vehicle_is_drawn_every_few_seconds() {
        // 3 m/s with a fix a second: 15 m from run to run.
        let fixes: Vec<Fix> = (300..420)
            .map(|s| fix(s as f64, 3.0 * (s - 300) as f64, 2.0))
            .collect();
        let path = &onward(&fixes, 400, 406).paths[0];
        assert_eq!(
            (path.start, path.end),
            (START + 400 * SECOND, START + 405 * SECOND)
        );
    }

    #[test]
    fn a_vehicle_that_has_just_stopped_leaves_no_stub() {
        let fixes: Vec<Fix> = (300..420)
            .map(|s| fix(s as f64, 6.0 * (s - 300).min(100) as f64, 2.0))
            .collect();
        assert_eq!(onward(&fixes, 400, 406).paths, []);
    }

    #[test]
    fn a_vehicle_that_stays_costs_no_request_and_leaves_no_scribble() {
        let fixes: Vec<Fix> = (300..430)
            .step_by(3)
            .map(|s| fix(s as f64, (s % 7) as f64, (s % 5) as f64))
            .collect();
        let outcome = onward(&fixes, 297, 400);
        assert_eq!((outcome.paths.len(), outcome.osrm_calls), (0, 0));
        // It was seen, and may drive on.
        let seen = outcome.stops[0];
        assert_eq!((seen.start, seen.end), (WINDOW.start, WINDOW.start));
        assert_eq!(onward(&fixes, 350, 400).stops, []);
        let stop = onward(&fixes, 297, 430).stops[0];
        assert_eq!((stop.start, stop.end), (WINDOW.start, START + 429 * SECOND));
    }
}
