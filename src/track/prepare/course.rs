//! Which courses are believed, of those that a device reports.
//!
//! Receivers that stand report any course, some report always the same, and some are mounted the wrong way
//! round. What is believed keeps roads out that lead elsewhere; so only what the fixes themselves bear out is.

use super::smooth::Smoothed;
use crate::track::geo;
use crate::track::model::seconds;
use crate::track::recipe::prepare::{
    AGREEMENT, AGREEMENT_SHARE, FEWEST_COURSES, LEAST_WAY, OPPOSITE, TURNING,
};

/// Leaves the courses of a stretch of driving that agree with its own way; none, if many do not.
pub fn believe(segment: &mut [Smoothed]) {
    let mut last = None;
    let news = |fix: &Smoothed| {
        fix.course
            .filter(|course| last.replace(*course) != Some(*course))
    };
    let news: Vec<Option<f64>> = segment.iter().map(news).collect();
    let mut tried = 0;
    let mut believed: Vec<Option<f64>> = vec![None; segment.len()];
    for (i, course) in news.iter().enumerate() {
        if let Some((course, off)) = course.zip(course.and_then(|course| off(segment, i, course))) {
            tried += 1;
            believed[i] = (off <= AGREEMENT).then_some(course);
        }
    }
    let agreeing = believed.iter().flatten().count();
    if tried < FEWEST_COURSES || (agreeing as f64) < AGREEMENT_SHARE * tried as f64 {
        believed.fill(None);
    }
    forget_turns(segment, &mut believed);
    for (fix, course) in segment.iter_mut().zip(believed) {
        fix.course = course;
    }
}

/// Degrees by which a course is off the way to its fix, or off the way on from there, if that is less.
fn off(segment: &[Smoothed], i: usize, course: f64) -> Option<f64> {
    let here = segment[i].place;
    let far = |fix: &&Smoothed| geo::distance(fix.place, here) >= LEAST_WAY;
    let before = segment[..i].iter().rev().find(far);
    let after = segment[i + 1..].iter().find(far);
    let to = before.map(|fix| geo::course(fix.place, here));
    let on = after.map(|fix| geo::course(here, fix.place));
    let ways = to.into_iter().chain(on);
    ways.map(|way| geo::between_courses(way, course))
        .reduce(f64::min)
}

/// Takes away the courses where the vehicle turned round: OSRM does not turn where there is no other way, but
/// looks for a way round.
fn forget_turns(segment: &[Smoothed], believed: &mut [Option<f64>]) {
    let known: Vec<(usize, f64)> = (believed.iter().enumerate())
        .filter_map(|(i, course)| Some((i, (*course)?)))
        .collect();
    for (nth, (from, course)) in known.iter().enumerate() {
        let soon = |to: usize| seconds(segment[*from].time, segment[to].time) <= TURNING;
        let later = known[nth + 1..].iter();
        let near = later
            .enumerate()
            .take_while(|(k, (to, _))| *k == 0 || soon(*to));
        let turned =
            near.filter(|(_, (_, other))| geo::between_courses(*course, *other) > OPPOSITE);
        if let Some((_, (to, _))) = turned.last() {
            believed[*from..=*to].fill(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::fix;

    /// East at 10 m/s for two minutes, then north, a fix each ten seconds, and what is believed of its courses.
    fn believed(course: impl Fn(usize, f64) -> f64) -> usize {
        let at = |i: usize| {
            (
                100.0 * i.min(12) as f64,
                100.0 * i.saturating_sub(12) as f64,
            )
        };
        let mut segment: Vec<Smoothed> = (0..24)
            .map(|i| {
                let (x, y) = at(i);
                let fix = fix(10.0 * i as f64, x, y);
                let truth = if i < 12 { 90.0 } else { 0.0 };
                Smoothed {
                    time: fix.time,
                    place: fix.place(),
                    deviation: None,
                    course: Some(course(i, truth)),
                }
            })
            .collect();
        believe(&mut segment);
        segment.iter().filter(|fix| fix.course.is_some()).count()
    }

    #[test]
    fn courses_that_the_way_bears_out_are_believed() {
        assert_eq!(believed(|i, truth| truth + i as f64 - 10.0), 24);
        assert_eq!(believed(|i, truth| truth + i as f64 - 370.0), 24);
    }

    #[test]
    fn others_are_not() {
        assert_eq!(believed(|_, _| 90.0), 0, "it is stuck");
        assert_eq!(
            believed(|i, truth| truth + 180.0 + i as f64),
            0,
            "it is the wrong way round"
        );
        assert_eq!(believed(|i, _| 97.0 * i as f64), 0, "it is any");
    }

    #[test]
    fn a_single_one_that_is_wrong_is_left_out() {
        assert_eq!(
            believed(|i, truth| truth + i as f64 + if i == 5 { 100.0 } else { 0.0 }),
            23
        );
    }

    #[test]
    fn where_the_vehicle_turns_round_none_is() {
        let out = (0..10).map(|i| (10.0 * i as f64, 100.0 * i as f64, 80.0 + i as f64));
        let back = (10..20).map(|i| {
            (
                10.0 * i as f64,
                1_900.0 - 100.0 * i as f64,
                260.0 + i as f64,
            )
        });
        let mut segment: Vec<Smoothed> = (out.chain(back))
            .map(|(second, x, course)| {
                let fix = fix(second, x, 0.0);
                Smoothed {
                    time: fix.time,
                    place: fix.place(),
                    deviation: None,
                    course: Some(course),
                }
            })
            .collect();
        believe(&mut segment);
        let without: Vec<usize> = (0..20).filter(|i| segment[*i].course.is_none()).collect();
        assert_eq!(without, [6, 7, 8, 9, 10, 11, 12, 13]);
    }
}
