//! From raw fixes to one believable fix a second.
//!
//! Every choice looks at values alone, never at the order of arrival, and an exact copy of a fix
//! changes nothing.

use std::iter::successors;

use crate::track::geo;
use crate::track::model::{Dropped, Fix, Micros, Window, seconds};
use crate::track::recipe::prepare::{
    FROZEN, LONGEST_TELEPORT, NULL_ISLAND, READINGS, SAME_PLACE, SILENCE, WAY_BACK,
};
use crate::track::recipe::vehicle::{BLUR, TOP_SPEED};
use crate::track::vehicle::{can_travel, farthest, fastest_end, reachable};

/// What is left of a span of fixes, and what is not.
#[derive(Debug, Clone, Default)]
pub struct Cleaned {
    /// At most one a second, ascending.
    pub fixes: Vec<Fix>,
    lost: Vec<(Micros, Loss)>,
}

#[derive(Debug, Clone, Copy)]
enum Loss {
    Duplicate,
    NullIsland,
    Teleport,
}

impl Cleaned {
    fn lose(&mut self, fixes: &[Fix], loss: Loss) {
        self.lost.extend(fixes.iter().map(|f| (f.time, loss)));
    }

    /// The losses of one window in one slot.
    pub fn dropped(&self, window: Window, slot: Window) -> Dropped {
        let mut dropped = Dropped::default();
        let here = |(time, _): &&(Micros, Loss)| window.holds(*time) && slot.holds(*time);
        for (_, loss) in self.lost.iter().filter(here) {
            match loss {
                Loss::Duplicate => dropped.duplicate += 1,
                Loss::NullIsland => dropped.null_island += 1,
                Loss::Teleport => dropped.teleport += 1,
            }
        }
        dropped
    }
}

fn is_null_island(fix: &Fix) -> bool {
    fix.lon.abs() < NULL_ISLAND && fix.lat.abs() < NULL_ISLAND
}

/// Cleans fixes in the order of [`Fixes`](crate::track::Fixes).
pub fn clean(sorted: &[Fix]) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let (null_island, usable): (Vec<Fix>, Vec<Fix>) =
        sorted.iter().partition(|fix| is_null_island(fix));
    cleaned.lose(&null_island, Loss::NullIsland);
    let mut each_second: Vec<Fix> = Vec::with_capacity(usable.len().min(1 << 16));
    let mut groups = usable.chunk_by(|a, b| a.second() == b.second()).peekable();
    while let Some(group) = groups.next() {
        let next = groups.peek().map_or(&[][..], |next| next);
        let kept = best(group, each_second.last(), next);
        cleaned.lose(&group[..kept], Loss::Duplicate);
        cleaned.lose(&group[kept + 1..], Loss::Duplicate);
        each_second.push(group[kept]);
    }
    drop_teleports(&each_second, &mut cleaned);
    cleaned
}

/// Which of the fixes of one second to keep: of those that claim to be the most accurate the one
/// that lies best on the way from the fix before to the nearest one of the second after, for a
/// stale reading lies back on the road; where one of the two is missing, the first.
fn best(group: &[Fix], before: Option<&Fix>, after: &[Fix]) -> usize {
    let way = |fix: &Fix| {
        let to = |other: &Fix| geo::distance(fix.place(), other.place());
        let nearest = after.iter().take(READINGS).map(to).reduce(f64::min);
        before.zip(nearest).map_or(0.0, |(fix, on)| to(fix) + on)
    };
    let accuracy = |fix: &Fix| fix.accuracy.unwrap_or(f64::INFINITY);
    let finest = group.iter().map(accuracy).fold(f64::INFINITY, f64::min);
    (group.iter().enumerate())
        .filter(|(_, fix)| accuracy(fix) == finest)
        .take(READINGS)
        .map(|(i, fix)| (way(fix), i))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(0, |(_, i)| i)
}

/// Leaves out short runs that no vehicle can have driven to and back from. What is left has as few steps as can be
/// that no vehicle makes, and of all ways that have so few it is the shortest: beside a silence a teleport may seem
/// reachable, and a true fix not.
fn drop_teleports(fixes: &[Fix], cleaned: &mut Cleaned) {
    let steps = steps(fixes);
    let teleports = teleports(fixes, &steps);
    let mut shortcuts = teleports.iter().peekable();
    let mut ways: Vec<Way> = Vec::with_capacity(fixes.len());
    for to in 0..fixes.len() {
        let mut way = match to.checked_sub(1) {
            Some(from) => ways[from].on(from, &steps[from]),
            None => Way::default(),
        };
        while let Some(teleport) = shortcuts.next_if(|teleport| teleport.after == to) {
            let across = ways[teleport.before].on(teleport.before, &teleport.across);
            if across.is_better(&way) {
                way = across;
            }
        }
        ways.push(way);
    }
    let last = fixes.len().checked_sub(1);
    let mut kept: Vec<usize> = successors(last, |at| ways[*at].from).collect();
    kept.reverse();
    let mut next = 0;
    for at in kept {
        cleaned.lose(&fixes[next..at], Loss::Teleport);
        drop_frozen(&fixes[at], cleaned);
        cleaned.fixes.push(fixes[at]);
        next = at + 1;
    }
}

/// The shortest way to a fix, of those that have the fewest steps that no vehicle makes.
#[derive(Default)]
struct Way {
    unreachable: usize,
    metres: f64,
    /// The fix before, by index.
    from: Option<usize>,
}

impl Way {
    fn on(&self, from: usize, step: &Step) -> Way {
        Way {
            unreachable: self.unreachable + usize::from(!step.reachable),
            metres: self.metres + step.metres,
            from: Some(from),
        }
    }

    fn is_better(&self, other: &Way) -> bool {
        (self.unreachable, self.metres) < (other.unreachable, other.metres)
    }
}

/// From one fix to another.
struct Step {
    metres: f64,
    seconds: f64,
    reachable: bool,
}

impl Step {
    fn new(from: &Fix, to: &Fix) -> Step {
        let metres = geo::distance(from.place(), to.place());
        let seconds = seconds(from.time, to.time);
        Step {
            metres,
            seconds,
            reachable: can_travel(metres, seconds),
        }
    }
}

/// From each fix to the next. A step that a vehicle could make by itself it may not make between those beside it: from
/// a stand to a stand, or back at once from where it came.
fn steps(fixes: &[Fix]) -> Vec<Step> {
    let alone: Vec<Step> = (fixes.windows(2))
        .map(|pair| Step::new(&pair[0], &pair[1]))
        .collect();
    // How fast a vehicle can be at a fix where a step meets another one.
    let speed_at = |fix: usize, step: &Step, other: Option<&Step>| {
        let Some(other) = other else {
            return TOP_SPEED;
        };
        let across = geo::distance(fixes[fix - 1].place(), fixes[fix + 1].place());
        if across < step.metres.min(other.metres) {
            return 0.0;
        }
        fastest_end(other.metres, other.seconds)
    };
    let is_hasty = |at: usize, step: &Step| {
        let before = at.checked_sub(1).map(|before| &alone[before]);
        let from = speed_at(at, step, before);
        let to = speed_at(at + 1, step, alone.get(at + 1));
        step.metres > farthest(step.seconds, from, to) + BLUR
    };
    (alone.iter().enumerate())
        .map(|(at, step)| Step {
            reachable: step.reachable && (step.metres <= BLUR || !is_hasty(at, step)),
            ..*step
        })
        .collect()
}

/// Fixes that may be a teleport: all between two others, by index.
struct Teleport {
    before: usize,
    after: usize,
    across: Step,
}

/// The runs of fixes that may be teleports, by the fix after them. Where no vehicle makes a step, that is the shortest
/// run that begins there and the shortest that ends.
fn teleports(fixes: &[Fix], steps: &[Step]) -> Vec<Teleport> {
    let teleport = |before: usize, after: usize| {
        let across = Step::new(&fixes[before], &fixes[after]);
        let goes_on = steps.get(after).is_some_and(|step| step.reachable);
        is_teleport(&steps[before], &steps[after - 1], &across, goes_on).then_some(Teleport {
            before,
            after,
            across,
        })
    };
    let mut found = Vec::new();
    for (before, _) in steps.iter().enumerate().filter(|(_, s)| !s.reachable) {
        let after = before + 1;
        let mut begins = (after + 1..fixes.len()).take(LONGEST_TELEPORT);
        let mut ends = (0..before).rev().take(LONGEST_TELEPORT);
        found.extend(begins.find_map(|after| teleport(before, after)));
        found.extend(ends.find_map(|before| teleport(before, after)));
    }
    found.sort_by_key(|teleport| teleport.after);
    found
}

/// Whether fixes between two others are a teleport, by the steps to the first of them, from the last, and across, and
/// whether a vehicle can go on from what follows them.
fn is_teleport(come: &Step, leave: &Step, across: &Step, goes_on: bool) -> bool {
    across.reachable
        && match (come.reachable, leave.reachable) {
            (true, true) => false,
            (false, false) => true,
            // Left, it seems, but only because a silence gave it the time to come back.
            (false, true) => across.metres < WAY_BACK * leave.metres,
            // Reached after a silence only: what comes next tells which of the two is true.
            (true, false) => {
                let far = across.metres < WAY_BACK * come.metres;
                goes_on && (far || come.seconds >= SILENCE * leave.seconds)
            }
        }
}

/// Leaves out repeats of the last place from which `next` cannot be reached, if it can be reached
/// from the first of them: the vehicle went on while its receiver did not, as in a tunnel.
fn drop_frozen(next: &Fix, cleaned: &mut Cleaned) {
    let Some(last) = cleaned.fixes.last().copied() else {
        return;
    };
    if reachable(&last, next) {
        return;
    }
    let same = |fix: &Fix| geo::distance(fix.place(), last.place()) < SAME_PLACE;
    let repeats = cleaned.fixes.iter().rev().take_while(|f| same(f)).count() - 1;
    let first = cleaned.fixes.len() - 1 - repeats;
    let frozen = &cleaned.fixes[first];
    if seconds(frozen.time, last.time) < FROZEN && reachable(frozen, next) {
        let stale = cleaned.fixes.split_off(first + 1);
        cleaned.lose(&stale, Loss::Teleport);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::model::{Fixes, SECOND};

    fn fix(second: f64, lon: f64, lat: f64) -> Fix {
        Fix {
            time: (second * SECOND as f64) as Micros,
            lon,
            lat,
            ..Fix::default()
        }
    }

    const ALL: Window = Window {
        start: 0,
        end: 1_000 * SECOND,
    };

    #[test]
    fn one_fix_a_second_and_the_more_accurate_one() {
        let mut fixes = [fix(1.0, 24.0, 60.0), fix(1.5, 24.0001, 60.0)];
        fixes[1].accuracy = Some(3.0);
        let cleaned = clean(Fixes::from(fixes.to_vec()).all());
        assert_eq!(cleaned.fixes, [fixes[1]]);
        assert_eq!(cleaned.dropped(ALL, ALL).duplicate, 1);
    }

    #[test]
    fn of_equal_ones_that_on_the_way() {
        let fixes = [
            fix(1.0, 24.0, 60.0),
            fix(2.0, 24.0, 60.001),
            fix(2.3, 24.0, 60.0),
            fix(2.6, 24.0, 59.999),
            fix(3.0, 24.0, 60.002),
        ];
        assert_eq!(clean(Fixes::from(fixes.to_vec()).all()).fixes[1], fixes[1]);
    }

    #[test]
    fn null_island_is_dropped_and_counted() {
        let cleaned = clean(&[fix(1.0, 0.0, 0.0), fix(2.0, 24.0, 60.0)]);
        assert_eq!(cleaned.fixes.len(), 1);
        assert_eq!(cleaned.dropped(ALL, ALL).null_island, 1);
    }

    #[test]
    fn a_short_excursion_is_a_teleport() {
        let mut fixes: Vec<Fix> = (0..20).map(|i| fix(i as f64, 24.0, 60.0)).collect();
        fixes[7].lat = 60.1;
        fixes[12].lat = 60.1;
        fixes[13].lat = 60.1;
        let cleaned = clean(&fixes);
        assert_eq!(cleaned.fixes.len(), 17);
        assert_eq!(cleaned.dropped(ALL, ALL).teleport, 3);
    }

    #[test]
    fn a_teleport_after_a_silence_is_one() {
        let places = [(0.0, 60.0), (300.0, 60.1), (330.0, 60.01), (360.0, 60.01)];
        let fixes = places.map(|(second, lat)| fix(second, 24.0, lat));
        assert_eq!(clean(&fixes).fixes, [fixes[0], fixes[2], fixes[3]]);
    }

    #[test]
    fn a_teleport_before_a_silence_is_one() {
        let places = [(0.0, 60.0), (30.0, 60.1), (330.0, 60.01), (360.0, 60.01)];
        let fixes = places.map(|(second, lat)| fix(second, 24.0, lat));
        assert_eq!(clean(&fixes).fixes, [fixes[0], fixes[2], fixes[3]]);
    }

    /// What is left of fixes on a meridian, by index.
    fn left(places: &[(f64, f64)]) -> Vec<usize> {
        let fixes: Vec<Fix> = (places.iter())
            .map(|(second, lat)| fix(*second, 24.0, *lat))
            .collect();
        let kept = clean(&fixes).fixes;
        (0..fixes.len())
            .filter(|i| kept.contains(&fixes[*i]))
            .collect()
    }

    #[test]
    fn beside_a_silence_the_teleport_goes_and_not_its_neighbour() {
        // In two minutes the place 6.7 km off can be reached from what is before its neighbour, and left.
        let sparse = [
            (0.0, 60.0),
            (60.0, 60.002),
            (120.0, 60.06),
            (240.0, 60.004),
            (300.0, 60.005),
        ];
        assert_eq!(left(&sparse), [0, 1, 3, 4]);
        let dense = [
            (0.0, 60.0),
            (5.0, 60.0005),
            (10.0, 60.0067),
            (100.0, 60.002),
            (105.0, 60.0023),
        ];
        assert_eq!(left(&dense), [0, 1, 3, 4]);
    }

    #[test]
    fn several_wrong_places_after_a_silence_are_a_teleport() {
        let woken = [
            (0.0, 60.0),
            (1.0, 60.0001),
            (200.0, 60.05),
            (201.0, 60.05),
            (202.0, 60.05),
            (203.0, 60.01),
            (204.0, 60.0101),
        ];
        assert_eq!(left(&woken), [0, 1, 5, 6]);
        // Of the place where it fell asleep, too.
        let mut stale = woken;
        stale[2..5].iter_mut().for_each(|(_, lat)| *lat = 60.0001);
        assert_eq!(left(&stale), [0, 1, 5, 6]);
    }

    #[test]
    fn no_vehicle_goes_from_a_stand_to_a_stand_and_back_at_once() {
        // 700 m in 15 s is 168 km/h.
        let jump = [
            (0.0, 60.0),
            (15.0, 60.0),
            (30.0, 60.0063),
            (45.0, 60.0),
            (60.0, 60.0),
        ];
        assert_eq!(left(&jump), [0, 1, 3, 4]);
        let twice = [
            (0.0, 60.0),
            (30.0, 60.0),
            (60.0, 60.0154),
            (90.0, 60.0154),
            (120.0, 60.0),
            (150.0, 60.0),
        ];
        assert_eq!(left(&twice), [0, 1, 4, 5]);
    }

    #[test]
    fn who_drives_on_may_be_as_fast_and_who_turns_may_be_slow() {
        let motorway: Vec<(f64, f64)> = (0..6)
            .map(|n| (15.0 * f64::from(n), 60.0 + 0.0063 * f64::from(n)))
            .collect();
        assert_eq!(left(&motorway).len(), 6);
        let dead_end = [
            (0.0, 60.0),
            (15.0, 60.0),
            (30.0, 60.0018),
            (45.0, 60.0),
            (60.0, 60.0),
        ];
        assert_eq!(left(&dead_end).len(), 5);
    }

    #[test]
    fn a_last_fix_that_cannot_be_reached_speaks_against_none() {
        let places = [(0.0, 60.0), (180.0, 60.001), (240.0, 60.1)];
        assert_eq!(left(&places), [0, 1, 2]);
    }

    #[test]
    fn a_place_repeated_while_the_vehicle_went_on_is_dropped() {
        let at = |i: usize| fix(i as f64, 24.0, if i < 30 { 60.0 } else { 60.01 });
        let fixes: Vec<Fix> = (0..40).map(at).collect();
        let cleaned = clean(&fixes);
        assert_eq!(cleaned.fixes[..2], [fixes[0], fixes[30]]);
        assert_eq!(cleaned.dropped(ALL, ALL).teleport, 29);
    }

    #[test]
    fn a_jump_that_stays_is_kept() {
        let fixes: Vec<Fix> = (0..20)
            .map(|i| fix(i as f64, 24.0, if i < 10 { 60.0 } else { 60.1 }))
            .collect();
        assert_eq!(clean(&fixes).fixes.len(), 20);
    }
}
