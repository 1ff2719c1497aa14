//! Places that a device sends a second time, with a later time: out of a buffer that it empties twice, through a second
//! unit that lags, or as the last place it knows, though the vehicle has gone on.

use std::collections::HashMap;

use crate::track::geo;
use crate::track::model::{Fix, seconds};
use crate::track::recipe::prepare::{AGAIN, CLOSE, FROZEN, HASTE, LEAST_SPEED, SAME_PLACE};
use crate::track::recipe::vehicle::JUMP;
use crate::track::vehicle::{reachable, speed};

/// Which of the fixes, that ascend, only repeat a place that the vehicle has left since: to there it would have gone
/// back, and at once on again from where it came. A vehicle that does come back goes on from there; and it meets no
/// place to the last digit, unless its device rounds.
pub fn repeats(fixes: &[Fix]) -> Vec<bool> {
    let again = sent_again(fixes);
    let mut repeats = vec![false; fixes.len()];
    let (mut before, mut after) = (None, 0);
    for (at, fix) in fixes.iter().enumerate() {
        if again[at] {
            after = after.max(at + 1);
            while again.get(after) == Some(&true) {
                after += 1;
            }
            let around = before.zip(fixes.get(after));
            repeats[at] = around.is_some_and(|(before, after)| is_way_back(before, fix, after));
        }
        if !repeats[at] {
            before = Some(fix);
        }
    }
    repeats
}

/// Which of the fixes lie exactly where one not long before them did, with others in between, and alone: where several
/// follow each other the vehicle stands, and the one in between was wrong.
fn sent_again(fixes: &[Fix]) -> Vec<bool> {
    let place = |fix: &Fix| fix.place().map(f64::to_bits);
    let mut latest: HashMap<[u64; 2], usize> = HashMap::with_capacity(fixes.len().min(1 << 16));
    let mut again = vec![false; fixes.len()];
    for (at, fix) in fixes.iter().enumerate() {
        let Some(last) = latest.insert(place(fix), at) else {
            continue;
        };
        let stands = last + 1 == at
            || fixes
                .get(at + 1)
                .is_some_and(|next| place(next) == place(fix));
        again[at] = !stands && seconds(fixes[last].time, fix.time) <= AGAIN;
    }
    again
}

/// Whether a fix lies away from both of its neighbours, on the side of the one before.
fn is_way_back(before: &Fix, fix: &Fix, after: &Fix) -> bool {
    let to = |other: &Fix| geo::distance(fix.place(), other.place());
    to(before) > CLOSE && geo::distance(before.place(), after.place()) < to(after)
}

/// Which of the fixes, that ascend, a receiver repeated while the vehicle went on, as in a tunnel, or in a sign of life
/// between two readings: from the last of them it would have had to be much faster than before and after, and not so
/// from the first.
pub fn frozen(fixes: &[Fix]) -> Vec<bool> {
    let mut frozen = vec![false; fixes.len()];
    let is_same = |a: &Fix, b: &Fix| geo::distance(a.place(), b.place()) < SAME_PLACE;
    let mut begin = 0;
    for run in fixes.chunk_by(is_same) {
        let end = begin + run.len();
        if run.len() > 1 && end < fixes.len() && went_on(fixes, begin, end) {
            frozen[begin + 1..end].fill(true);
        }
        begin = end;
    }
    frozen
}

/// Whether the vehicle went on while its receiver repeated the place of the fixes `begin..end`: it could not have got
/// to the next fix from there; or that came in its usual time, and the repeats between, after which it was hasty.
fn went_on(fixes: &[Fix], begin: usize, end: usize) -> bool {
    let (first, last, next) = (&fixes[begin], &fixes[end - 1], &fixes[end]);
    let metres = geo::distance(last.place(), next.place());
    let before = begin.checked_sub(1).map(|before| &fixes[before..=begin]);
    let (mut usual_time, mut usual_speed) = (0.0f64, LEAST_SPEED);
    for step in before.into_iter().chain(fixes.get(end..end + 2)) {
        usual_time = usual_time.max(seconds(step[0].time, step[1].time));
        usual_speed = usual_speed.max(speed(step));
    }
    let is_extra = seconds(first.time, next.time) <= HASTE * usual_time
        && metres > JUMP
        && speed(&fixes[end - 1..=end]) > HASTE * usual_speed;
    seconds(first.time, last.time) < FROZEN
        && (is_extra || !reachable(last, next))
        && reachable(first, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::fix;

    /// Times in seconds and places in metres along a road, as they were sent.
    fn fixes(sent: &[(f64, f64)]) -> Vec<Fix> {
        sent.iter()
            .map(|(second, x)| fix(*second, *x, 0.0))
            .collect()
    }

    fn which(found: Vec<bool>) -> Vec<usize> {
        (0..found.len()).filter(|at| found[*at]).collect()
    }

    #[test]
    fn what_is_sent_again_later_is_a_repeat() {
        // Every one again after 6 s, but where a vehicle is so slow that it makes no difference.
        let twice = fixes(&[
            (0.0, 0.0),
            (5.0, 50.0),
            (6.0, 0.0),
            (10.0, 100.0),
            (11.0, 50.0),
            (15.0, 150.0),
            (16.0, 100.0),
            (20.0, 160.0),
            (21.0, 150.0),
            (25.0, 170.0),
        ]);
        assert_eq!(which(repeats(&twice)), [2, 4, 6]);
    }

    #[test]
    fn a_buffer_that_is_sent_again_as_a_whole_is_left_out() {
        let sent = [0.0, 50.0, 100.0, 150.0, 0.0, 50.0, 100.0, 150.0, 200.0];
        let timed: Vec<(f64, f64)> = (0..).map(|n| 5.0 * f64::from(n)).zip(sent).collect();
        // The last of them says where the vehicle is still, or was a moment ago.
        assert_eq!(which(repeats(&fixes(&timed))), [4, 5, 6]);
    }

    #[test]
    fn who_comes_back_goes_on_from_there() {
        let there = [0.0, 50.0, 100.0, 150.0, 100.0, 50.0, 0.0, -50.0];
        let timed: Vec<(f64, f64)> = (0..).map(|n| 5.0 * f64::from(n)).zip(there).collect();
        assert!(which(repeats(&fixes(&timed))).is_empty());
        // Nor is anything known of the end.
        assert!(which(repeats(&fixes(&timed[..7]))).is_empty());
        // An hour later it may pass by the very place.
        let late = [(0.0, 0.0), (5.0, 100.0), (3_600.0, 0.0), (3_605.0, 100.0)];
        assert!(which(repeats(&fixes(&late))).is_empty());
    }

    #[test]
    fn who_stands_is_not_sent_again_after_a_wrong_place() {
        let at = |second: usize| match second {
            10 => -900.0,
            30 => -880.0,
            _ => 0.0,
        };
        let parked: Vec<(f64, f64)> = (0..60).map(|second| (second as f64, at(second))).collect();
        assert!(which(repeats(&fixes(&parked))).is_empty());
    }

    #[test]
    fn a_sign_of_life_between_two_readings_is_frozen() {
        let told = [
            (0.0, 0.0),
            (15.0, 150.0),
            (25.0, 150.0),
            (30.0, 300.0),
            (45.0, 450.0),
        ];
        assert_eq!(which(frozen(&fixes(&told))), [2]);
    }

    #[test]
    fn who_stands_and_drives_on_is_not_frozen() {
        let light = [
            (0.0, 0.0),
            (15.0, 150.0),
            (30.0, 150.0),
            (45.0, 150.0),
            (60.0, 280.0),
            (75.0, 430.0),
        ];
        assert!(which(frozen(&fixes(&light))).is_empty());
        // A receiver that waits until it is sure that the vehicle moves lags by some metres.
        let held: Vec<(f64, f64)> = [0.0, 2.0, 4.0, 4.0, 4.0, 4.0, 30.0, 32.0]
            .into_iter()
            .enumerate()
            .map(|(second, x)| (second as f64, x))
            .collect();
        assert!(which(frozen(&fixes(&held))).is_empty());
        // Who repeats a place for so long is parked.
        let parked = [(0.0, 0.0), (15.0, 150.0), (150.0, 150.0), (151.0, 400.0)];
        assert!(which(frozen(&fixes(&parked))).is_empty());
    }
}
