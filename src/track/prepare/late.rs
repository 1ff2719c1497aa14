//! Fixes that bear the time of their arrival: what a device could not send at once comes all together after a silence,
//! a device that saves its connection sends some once a minute, and a clock may know minutes only.

use crate::track::geo::{self, Place};
use crate::track::model::{Fix, Micros};
use crate::track::recipe::Recipe;
use crate::track::recipe::prepare::{
    FEWEST_LATE, KNOWN_BEFORE, KNOWN_ORDER, LATE, LATE_SHARE, MIXED_ORDER, MOST_LATE, USUAL_SPEED,
    USUAL_STEPS,
};
use crate::track::vehicle::speed;

/// Gives such fixes, of some that ascend, the times that they were probably taken at: laid evenly over the silence
/// before them, the last one at its own. They get the order of the shortest way, for some devices send the newest
/// first. What had become of them otherwise is one fix of each second, or none, for no vehicle is so fast.
pub fn spread(fixes: &mut [Fix], recipe: &Recipe) {
    let mut begin = 1;
    while begin < fixes.len() {
        let end = end_of_run(fixes, begin, recipe);
        if end > begin + 1 {
            lay_back_first(&mut fixes[..end], begin, recipe);
            lay_over_silence(fixes, begin, end, recipe);
        }
        begin = end;
    }
}

/// The end of the run of fixes from `begin` on that came late; `begin + 1` if they did not.
fn end_of_run(fixes: &[Fix], begin: usize, recipe: &Recipe) -> usize {
    let silence = passed(&fixes[begin - 1..=begin]);
    if silence > recipe.max_gap {
        return begin + 1;
    }
    let steps = (1..).zip(fixes[begin..].windows(2).take(MOST_LATE));
    let is_close =
        |(nth, step): &(i32, &[Fix])| passed(step) as f64 * f64::from(*nth) * LATE < silence as f64;
    let end = begin + 1 + steps.take_while(is_close).count();
    let count = end - begin;
    let late = (FEWEST_LATE..=MOST_LATE).contains(&count) && is_late(fixes, begin, end);
    if late { end } else { begin + 1 }
}

/// Whether the fixes `begin..end` are as many as the device takes in the silence before them and their own time, and
/// make a vehicle slow that would have been several times as fast as they are.
fn is_late(fixes: &[Fix], begin: usize, end: usize) -> bool {
    let (run, with_before) = (&fixes[begin..end], &fixes[begin - 1..end]);
    let share = run.len() as f64 * usual_step(fixes, begin) / passed(with_before) as f64;
    (LATE_SHARE.0..=LATE_SHARE.1).contains(&share)
        && speed(run) > LATE * speed(with_before).max(USUAL_SPEED)
}

/// From one fix to the next, on average: over those before `begin`, or over all if those span hardly any time beside
/// the silence that follows.
fn usual_step(fixes: &[Fix], begin: usize) -> f64 {
    let before = &fixes[begin.saturating_sub(USUAL_STEPS + 1)..begin];
    let silence = passed(&fixes[begin - 1..=begin]);
    let known = if passed(before) as f64 > KNOWN_BEFORE * silence as f64 {
        before
    } else {
        fixes
    };
    passed(known) as f64 / (known.len() - 1) as f64
}

fn lay_over_silence(fixes: &mut [Fix], begin: usize, end: usize, recipe: &Recipe) {
    let (known, run) = fixes.split_at_mut(begin);
    let (run, next) = run.split_at_mut(end - begin);
    let (before, until) = (known[begin - 1], run[run.len() - 1].time);
    put_in_order(Some(&before), run, next.first());
    let each = (until - before.time) / run.len() as Micros;
    let own = recipe.window_number(until);
    for (left, fix) in (0..).zip(run.iter_mut().rev()) {
        fix.time = until - left * each;
        // A window between, in which none was recorded, has no line.
        let number = recipe.window_number(fix.time);
        if number < own && number > recipe.window_number(before.time) {
            fix.time = own * recipe.window;
        }
    }
}

/// The run that ends before `begin`, if nothing is known from shortly before it, is laid out as the next one, but within
/// its window, and so that it is as unknown as before whether the vehicle drove there from what came long before.
fn lay_back_first(fixes: &mut [Fix], begin: usize, recipe: &Recipe) {
    let next_run = &fixes[begin - 1..];
    let each = passed(next_run) / (next_run.len() - 1) as Micros;
    let is_close = |step: &&[Fix]| passed(step) as f64 * LATE < each as f64;
    let steps = fixes[..begin].windows(2).rev().take(MOST_LATE);
    let first = begin - 1 - steps.take_while(is_close).count();
    let is_first = first == 0 || passed(&fixes[first - 1..=first]) > recipe.max_gap;
    if !is_first || !(FEWEST_LATE..=MOST_LATE).contains(&(begin - first)) {
        return;
    }
    let (before, run) = fixes.split_at_mut(first);
    let (run, next) = run.split_at_mut(begin - first);
    let until = run[run.len() - 1].time;
    put_in_order(None, run, next.first());
    let silent_until =
        |before: &Fix| (before.time.saturating_add(recipe.max_gap)).saturating_add(1);
    let earliest = (before.last().map_or(Micros::MIN, silent_until))
        .max(recipe.window_number(until) * recipe.window);
    for (left, fix) in (0..).zip(run.iter_mut().rev()) {
        fix.time = (until - left * each).max(earliest);
    }
}

/// Puts fixes into the order in which they make the shortest way between two others: as they are, the newest one of
/// them sent first, or all backwards; or, where that is shorter by far, for some are sent in between, each as the nearest
/// to the one before or after.
fn put_in_order(before: Option<&Fix>, run: &mut [Fix], next: Option<&Fix>) {
    let whole = |run: &[Fix]| {
        let all = before.into_iter().chain(run).chain(next);
        geo::length(&all.map(Fix::place).collect::<Vec<Place>>())
    };
    let backwards = |mut run: Vec<Fix>| {
        run.reverse();
        run
    };
    let mut newest_first = run.to_vec();
    newest_first.rotate_left(1);
    let forth = before.map(|before| nearest_first(before, run));
    let back = next.map(|next| backwards(nearest_first(next, run)));
    // Those of one moment have no order of their own.
    let (sent, mixed) = if passed(run) > 0 {
        (KNOWN_ORDER, MIXED_ORDER)
    } else {
        (1.0, 1.0)
    };
    let orders = [(newest_first, sent), (backwards(run.to_vec()), sent)].into_iter();
    let mixtures = forth.into_iter().chain(back).map(|order| (order, mixed));
    let mut shortest = whole(run);
    for (order, factor) in orders.chain(mixtures) {
        let length = whole(&order);
        if length < factor * shortest {
            shortest = length;
            run.copy_from_slice(&order);
        }
    }
}

/// From a fix on always to the nearest one that is left.
fn nearest_first(from: &Fix, run: &[Fix]) -> Vec<Fix> {
    let mut left = run.to_vec();
    let mut ordered = Vec::with_capacity(run.len());
    let mut place = from.place();
    while let Some(nearest) = (0..left.len()).min_by(|a, b| {
        let away = |at: &usize| geo::distance(place, left[*at].place());
        away(a).total_cmp(&away(b))
    }) {
        let fix = left.remove(nearest);
        place = fix.place();
        ordered.push(fix);
    }
    ordered
}

/// From the first to the last of some fixes.
fn passed(fixes: &[Fix]) -> Micros {
    let (first, last) = (fixes[0].time, fixes[fixes.len() - 1].time);
    last.saturating_sub(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::model::{SECOND, seconds};
    use crate::track::tests::city::{START, fix, recipe};

    /// A drive along a road at 10 m/s, a fix each 5 s, by the seconds at which they arrive.
    fn arrived(at: impl Fn(usize) -> f64) -> Vec<Fix> {
        let mut fixes: Vec<Fix> = (0..60).map(|n| fix(at(n), 50.0 * n as f64, 0.0)).collect();
        fixes.sort_by_key(|fix| fix.time);
        fixes
    }

    /// How many seconds fixes are off the times at which they were taken, at most.
    fn off(mut fixes: Vec<Fix>, window: i64) -> f64 {
        spread(&mut fixes, &recipe(window));
        assert!(fixes.is_sorted_by_key(|fix| fix.time));
        let taken = |fix: &Fix| {
            let metres = geo::distance(fix.place(), arrived(|n| n as f64)[0].place());
            START + (metres / 10.0 * SECOND as f64) as Micros
        };
        let off = |fix: &Fix| seconds(taken(fix), fix.time).abs();
        fixes.iter().map(off).fold(0.0, f64::max)
    }

    const LONG: i64 = 3_600;

    #[test]
    fn what_was_held_back_for_a_while_gets_its_times_back() {
        // Nothing comes from 100 s on for a minute; then all at once.
        let held = |gap: f64| {
            move |n: usize| match n {
                20..=32 => 160.0 + gap * (n - 20) as f64,
                _ => 5.0 * n as f64,
            }
        };
        assert!(off(arrived(held(0.02)), LONG) < 1.0);
        assert!(off(arrived(held(0.3)), LONG) < 4.0);
        // All in one transaction, which has one time.
        assert!(off(arrived(held(0.0)), LONG) < 1.0);
        let newest_first = |n: usize| match n {
            20..=31 => 160.1 + 0.02 * (n - 20) as f64,
            32 => 160.0,
            _ => 5.0 * n as f64,
        };
        assert!(off(arrived(newest_first), LONG) < 1.0);
        let backwards = |n: usize| match n {
            20..=32 => 160.0 + 0.02 * (32 - n) as f64,
            _ => 5.0 * n as f64,
        };
        assert!(off(arrived(backwards), LONG) < 1.0);
    }

    #[test]
    fn a_device_that_sends_once_a_minute_is_told_apart_from_its_connection() {
        let sent = |n: usize| 60.0 * (n / 12 + 1) as f64 + 0.02 * (n % 12) as f64;
        // It sent the last fix of each five seconds ago.
        assert!(off(arrived(sent), LONG) < 6.0);
        let minutes = |n: usize| 60.0 * (n / 12) as f64;
        assert!(off(arrived(minutes), LONG) < 60.0);
    }

    #[test]
    fn no_fix_goes_to_a_window_in_which_none_was_recorded() {
        let held = |n: usize| match n {
            20..=43 => 220.0 + 0.02 * (n - 20) as f64,
            _ => 5.0 * n as f64,
        };
        let fixes = arrived(held);
        let minutes = |fixes: &[Fix]| -> Vec<i64> {
            let mut all: Vec<i64> = fixes
                .iter()
                .map(|f| recipe(60).window_number(f.time))
                .collect();
            all.dedup();
            all
        };
        let recorded = minutes(&fixes);
        let mut laid = fixes.clone();
        spread(&mut laid, &recipe(60));
        assert!(
            laid != fixes && minutes(&laid) == recorded,
            "{:?} {recorded:?}",
            minutes(&laid)
        );
        assert!(off(fixes, LONG) < 1.0);
    }

    #[test]
    fn what_comes_first_after_a_long_silence_stays_after_it() {
        // After two fixes nothing comes for five minutes, then thirty each minute.
        let sent = |n: usize| match n {
            ..2 => n as f64,
            _ => 310.0 + 60.0 * ((n - 2) / 30) as f64 + 0.02 * ((n - 2) % 30) as f64,
        };
        let drive = (0..482).map(|n| fix(sent(n), 20.0 * n as f64, 0.0));
        let mut fixes: Vec<Fix> = drive.collect();
        spread(&mut fixes, &recipe(LONG));
        assert!(fixes.is_sorted_by_key(|fix| fix.time));
        assert!(passed(&fixes[1..3]) > recipe(LONG).max_gap);
        assert!(passed(&fixes[2..32]) > 5 * SECOND);
    }

    #[test]
    fn who_reports_as_usual_is_left_alone() {
        let unchanged = |fixes: Vec<Fix>| {
            let mut laid = fixes.clone();
            spread(&mut laid, &recipe(LONG));
            laid == fixes
        };
        assert!(unchanged(arrived(|n| 5.0 * n as f64)));
        // Out of a tunnel, at 30 m/s, a fix each second.
        let out = |n: usize| {
            fix(
                if n < 20 { n } else { n + 60 } as f64,
                30.0 * (if n < 20 { n } else { n + 60 }) as f64,
                0.0,
            )
        };
        assert!(unchanged((0..60).map(out).collect()));
        // After a halt it drives off, and is fast before long.
        let off = |n: usize| {
            fix(
                5.0 * (n + if n < 20 { 0 } else { 48 }) as f64,
                if n < 20 {
                    50.0 * n as f64
                } else {
                    950.0 + 125.0 * (n - 20) as f64
                },
                0.0,
            )
        };
        assert!(unchanged((0..40).map(off).collect()));
        // It stood meanwhile: all that came together lies in one place.
        let stood = |n: usize| {
            fix(
                if n < 20 {
                    5.0 * n as f64
                } else {
                    160.0 + 0.02 * (n - 20) as f64
                },
                50.0 * n.min(20) as f64,
                0.0,
            )
        };
        assert!(unchanged((0..32).map(stood).collect()));
    }

    #[test]
    fn a_flood_costs_no_time() {
        let mut flood: Vec<Fix> = (0..200_000).map(|n| fix(300.0, n as f64, 0.0)).collect();
        flood.insert(0, fix(0.0, 0.0, 0.0));
        let before = flood.clone();
        spread(&mut flood, &recipe(LONG));
        assert!(flood == before);
    }
}
