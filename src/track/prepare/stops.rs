//! Vehicles that stand, and the segments of driving between.

use super::smooth::Smoothed;
use crate::track::geo::{self, Place, Plane};
use crate::track::model::{Micros, Window, seconds};
use crate::track::recipe::Recipe;
use crate::track::recipe::prepare::{AT_ONCE, CLOSE, FARTHEST, LONGEST_TELEPORT, SPREAD, STRAY};
use crate::track::recipe::vehicle::PARKED;
use crate::track::vehicle::can_travel;

/// A span of time in which the vehicle stood, or the moment at which it was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    pub start: Micros,
    pub end: Micros,
    pub place: Place,
}

impl Standing {
    /// The part of it that lies in a span; a moment lies in the span that holds it.
    pub fn within(&self, span: Window) -> Option<Standing> {
        let (start, end) = (self.start.max(span.start), self.end.min(span.end));
        let moment = self.start == self.end && span.holds(self.start);
        (start < end || moment).then_some(Standing {
            start,
            end,
            ..*self
        })
    }
}

/// Indices `[from, to)` of fixes that belong together.
type Span = (usize, usize);

/// Where the vehicle stood, ascending.
pub fn find(fixes: &[Smoothed], recipe: &Recipe) -> Vec<Standing> {
    let mut spans: Vec<Span> = Vec::new();
    let mut from = 0;
    while from < fixes.len() {
        let to = together(fixes, from, recipe.max_gap);
        if seconds(fixes[from].time, fixes[to - 1].time) < PARKED {
            from += 1;
            continue;
        }
        match spans.last_mut() {
            Some(last)
                if strayed(fixes, *last, (from, to))
                    || wandered(fixes, *last, (from, to), recipe.max_gap) =>
            {
                last.1 = to
            }
            _ => spans.push((from, to)),
        }
        from = to;
    }
    spans.iter().map(|span| standing(fixes, *span)).collect()
}

/// Where the vehicle was heard of at one place between two silences, too briefly to say that it stood: a tracker that
/// sleeps and wakes now and then.
pub fn sightings(fixes: &[Smoothed], recipe: &Recipe) -> Vec<Standing> {
    let heard = |a: &Smoothed, b: &Smoothed| b.time.saturating_sub(a.time) <= recipe.max_gap;
    fixes
        .chunk_by(heard)
        .filter(|run| seconds(run[0].time, run[run.len() - 1].time) < PARKED && stays(run))
        .map(|run| standing(run, (0, run.len())))
        .collect()
}

/// Whether all fixes lie so near each other that the vehicle need not have moved.
pub fn stays(fixes: &[Smoothed]) -> bool {
    together(fixes, 0, Micros::MAX) == fixes.len()
}

/// The end of the longest run from `from` on that stays within reach of its own middle, but for a few wrong fixes
/// from which it is back at once. A silence ends it: where the vehicle was meanwhile is not known.
fn together(fixes: &[Smoothed], from: usize, max_gap: Micros) -> usize {
    let plane = Plane::at(fixes[from].place);
    let (mut sum, mut count, mut to) = ([0.0; 2], 0.0f64, from);
    while to < fixes.len() {
        let since_last = |i: usize| fixes[i].time.saturating_sub(fixes[to.max(1) - 1].time);
        if to > from && since_last(to) > max_gap {
            break;
        }
        let near = |i: &usize| {
            let [x, y] = plane.project(fixes[*i].place);
            let n = count.max(1.0);
            (x - sum[0] / n).hypot(y - sum[1] / n) <= allowance(&fixes[*i])
        };
        if !near(&to) {
            let soon = (to + 1..fixes.len()).take(LONGEST_TELEPORT);
            let back = soon
                .take_while(|i| since_last(*i) <= AT_ONCE.min(max_gap))
                .find(near);
            match back {
                Some(back) => to = back,
                None => break,
            }
        }
        let [x, y] = plane.project(fixes[to].place);
        sum = [sum[0] + x, sum[1] + y];
        count += 1.0;
        to += 1;
    }
    to
}

/// How far from the middle a fix of a parked vehicle may lie, in metres.
pub fn allowance(fix: &Smoothed) -> f64 {
    fix.deviation
        .map_or(CLOSE, |d| (SPREAD * d).clamp(CLOSE, FARTHEST))
}

/// Whether two spans are one stop with a few stray fixes between.
fn strayed(fixes: &[Smoothed], a: Span, b: Span) -> bool {
    seconds(fixes[a.1 - 1].time, fixes[b.0].time) <= STRAY
        && geo::distance(middle(&fixes[a.0..a.1]), middle(&fixes[b.0..b.1])) <= CLOSE
}

/// Whether the vehicle stayed in the surroundings of the first span until it stood again: what a receiver makes up
/// while it is parked, or a few metres along a ramp.
fn wandered(fixes: &[Smoothed], a: Span, b: Span, max_gap: Micros) -> bool {
    let place = middle(&fixes[a.0..a.1]);
    let near = |at: Place| geo::distance(at, place) <= FARTHEST;
    let heard = |pair: &[Smoothed]| pair[1].time.saturating_sub(pair[0].time) <= max_gap;
    fixes[a.1 - 1..=b.0].windows(2).all(heard)
        && fixes[a.1..b.0].iter().all(|fix| near(fix.place))
        && near(middle(&fixes[b.0..b.1]))
}

fn standing(fixes: &[Smoothed], (from, to): Span) -> Standing {
    Standing {
        start: fixes[from].time,
        end: fixes[to - 1].time,
        place: middle(&fixes[from..to]),
    }
}

fn middle(fixes: &[Smoothed]) -> Place {
    let plane = Plane::at(fixes[0].place);
    let n = fixes.len() as f64;
    let sum = fixes
        .iter()
        .map(|f| plane.project(f.place))
        .fold([0.0; 2], |s, xy| [s[0] + xy[0], s[1] + xy[1]]);
    plane.unproject([sum[0] / n, sum[1] / n])
}

/// The fixes of each stretch of driving: cut at stops, at silences and where no vehicle can have
/// gone. A stretch begins and ends at the place of the stop beside it.
pub fn segments(fixes: &[Smoothed], stops: &[Standing], recipe: &Recipe) -> Vec<Vec<Smoothed>> {
    let mut segments: Vec<Vec<Smoothed>> = Vec::new();
    let mut current: Vec<Smoothed> = Vec::new();
    let mut stops = stops.iter().peekable();
    for fix in fixes {
        if let Some(last) = current.last()
            && !joined(last, fix, recipe)
        {
            segments.push(std::mem::take(&mut current));
        }
        while stops.next_if(|stop| stop.end < fix.time).is_some() {}
        match stops.peek() {
            Some(stop) if stop.start <= fix.time => {
                let parked = Smoothed {
                    place: stop.place,
                    course: None,
                    ..*fix
                };
                if fix.time == stop.start {
                    current.push(parked);
                    segments.push(std::mem::take(&mut current));
                }
                if fix.time == stop.end {
                    current = vec![parked];
                }
            }
            _ => current.push(*fix),
        }
    }
    segments.push(current);
    segments.retain(|s| s.len() > 1);
    segments
}

/// Whether the vehicle can have driven from one fix to the next without a break.
fn joined(a: &Smoothed, b: &Smoothed, recipe: &Recipe) -> bool {
    b.time.saturating_sub(a.time) <= recipe.max_gap
        && can_travel(geo::distance(a.place, b.place), seconds(a.time, b.time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{fix, recipe};

    fn at(second: f64, x: f64) -> Smoothed {
        let f = fix(second, x, 0.0);
        Smoothed {
            time: f.time,
            place: f.place(),
            deviation: None,
            course: None,
        }
    }

    fn found(fixes: &[Smoothed]) -> Vec<(f64, f64)> {
        let stops = find(fixes, &recipe(300));
        let second = |time| seconds(fixes[0].time, time);
        stops
            .iter()
            .map(|s| (second(s.start), second(s.end)))
            .collect()
    }

    #[test]
    fn a_light_is_no_stop() {
        let fixes: Vec<Smoothed> = (0..200)
            .map(|s| at(s as f64, (s as f64 - 90.0).max(0.0) * 8.0))
            .collect();
        assert_eq!(found(&fixes), []);
    }

    #[test]
    fn a_stray_fix_does_not_part_a_stop() {
        let mut fixes: Vec<Smoothed> = (0..400).map(|s| at(s as f64, 0.0)).collect();
        fixes[200] = at(200.0, 80.0);
        assert_eq!(found(&fixes), [(0.0, 399.0)]);
    }

    #[test]
    fn a_parked_receiver_that_errs_now_and_then_is_parked_all_the_while() {
        let errs = |wrong: usize| {
            let far = |i: usize| f64::from(u8::from(i % 18 >= 18 - wrong)) * 65.0;
            let fixes: Vec<Smoothed> = (0..343).map(|i| at(5.0 * i as f64, far(i))).collect();
            found(&fixes)
        };
        assert_eq!(errs(1), [(0.0, 1_710.0)]);
        assert_eq!(errs(3), [(0.0, 1_710.0)]);
        // Away for longer: it may have been.
        assert_eq!(errs(4), []);
    }

    #[test]
    fn a_parked_receiver_may_wander() {
        let wander = |far: f64| {
            let way = |s: f64| ((s - 150.0).min(350.0 - s) / 100.0).max(0.0) * far;
            let fixes: Vec<Smoothed> = (0..500).map(|s| at(s as f64, way(s as f64))).collect();
            found(&fixes).len()
        };
        assert_eq!(wander(50.0), 1);
        assert_eq!(wander(90.0), 2);
    }

    #[test]
    fn what_a_vehicle_does_in_a_silence_is_not_known() {
        let at_last = |s: usize| if s < 200 { s } else { s + 400 };
        let fixes: Vec<Smoothed> = (0..400).map(|s| at(at_last(s) as f64, 0.0)).collect();
        assert_eq!(found(&fixes).len(), 2);
    }

    #[test]
    fn a_silence_is_no_stop() {
        let fixes: Vec<Smoothed> = (0..10).map(|i| at(400.0 * i as f64, 0.0)).collect();
        assert_eq!(found(&fixes), []);
    }

    #[test]
    fn between_two_silences_a_vehicle_is_seen() {
        let seen = |seconds: &[f64]| {
            let fixes: Vec<Smoothed> = seconds.iter().map(|s| at(*s, s / 100.0)).collect();
            let second = |time| super::seconds(fixes[0].time, time);
            (sightings(&fixes, &recipe(300)).iter())
                .map(|s| (second(s.start), second(s.end)))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            seen(&[0.0, 600.0, 604.0, 1_300.0]),
            [(0.0, 0.0), (600.0, 604.0), (1_300.0, 1_300.0)]
        );
        // Heard of for long it stands, or drives; so far apart it drives.
        assert_eq!(seen(&[0.0, 100.0, 200.0]), []);
        assert_eq!(seen(&[0.0, 600.0, 700.0, 800.0]), [(0.0, 0.0)]);
        let drive: Vec<Smoothed> = (0..10).map(|s| at(s as f64, 15.0 * s as f64)).collect();
        assert_eq!(sightings(&drive, &recipe(300)), []);
    }

    #[test]
    fn segments_end_and_begin_at_the_stop() {
        let way = |s: f64| (s - 60.0).min(0.0) * 10.0 + (s - 260.0).max(0.0) * 10.0;
        let fixes: Vec<Smoothed> = (0..320).map(|s| at(s as f64, way(s as f64))).collect();
        let stops = find(&fixes, &recipe(300));
        let segments = segments(&fixes, &stops, &recipe(300));
        assert_eq!((stops.len(), segments.len()), (1, 2));
        assert_eq!(segments[0][segments[0].len() - 1].place, stops[0].place);
        assert_eq!(segments[0][segments[0].len() - 1].time, stops[0].start);
        assert_eq!(
            (segments[1][0].place, segments[1][0].time),
            (stops[0].place, stops[0].end)
        );
    }

    #[test]
    fn a_jump_parts_segments() {
        let fixes: Vec<Smoothed> = (0..20)
            .map(|s| at(s as f64, if s < 10 { 0.0 } else { 9_000.0 }))
            .collect();
        assert_eq!(segments(&fixes, &[], &recipe(300)).len(), 2);
    }
}
