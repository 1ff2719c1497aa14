//! Places that no vehicle can have been at.

use std::iter::successors;

use crate::track::geo;
use crate::track::median;
use crate::track::model::{Fix, seconds};
use crate::track::recipe::prepare::{
    FEWEST_STEPS, LONGEST_TELEPORT, SILENCE, SLOWEST, SPIKE_ACROSS, SPIKE_SIDE, SPIKE_SPEED,
    USUAL_SPEED, WAY_BACK,
};
use crate::track::recipe::vehicle::{BLUR, TOP_SPEED};
use crate::track::vehicle::{can_travel, farthest, fastest_end};

/// The fixes without short runs that no vehicle can have driven to and back from, by index. What is left has as few
/// steps as can be that no vehicle makes, and of all ways that have so few it is the shortest: beside a silence a
/// teleport may seem reachable, and a true fix not.
pub fn believable(fixes: &[Fix]) -> Vec<usize> {
    let steps = steps(fixes);
    let teleports = teleports(fixes, &steps);
    let mut shortcuts = teleports.iter().peekable();
    let mut ways: Vec<Way> = Vec::with_capacity(fixes.len());
    for to in 0..fixes.len() {
        let mut way = match to.checked_sub(1) {
            Some(from) if !begins_at(to, fixes, &steps) => ways[from].on(from, &steps[from]),
            _ => Way::default(),
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
    kept
}

/// Whether the few fixes before one, with nothing before them, are no part of the way: what a receiver says before it
/// knows where it is. Those that follow hold together for longer, and not even from the first can they be reached.
fn begins_at(to: usize, fixes: &[Fix], steps: &[Step]) -> bool {
    let hold = |steps: &[Step]| steps.iter().all(|step| step.reachable);
    to <= LONGEST_TELEPORT
        && 2 * to <= steps.len()
        && !steps[to - 1].reachable
        && hold(&steps[..to - 1])
        && hold(&steps[to..2 * to])
        && !Step::new(&fixes[0], &fixes[to]).reachable
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
    // A vehicle turns back where it comes to and leaves from as it usually does, and not at several times its speed.
    let is_spike = |fix: usize| {
        if fix == 0 || fix >= alone.len() {
            return false;
        }
        let (come, leave) = (&alone[fix - 1], &alone[fix]);
        let across = geo::distance(fixes[fix - 1].place(), fixes[fix + 1].place());
        let faster =
            |step: &Step, speed: f64| step.metres > SPIKE_SPEED * speed * step.seconds + BLUR;
        across < come.metres.min(leave.metres) * SPIKE_ACROSS
            && usual_speed(&alone, fix).is_some_and(|v| faster(come, v) && faster(leave, v))
    };
    (alone.iter().enumerate())
        .map(|(at, step)| Step {
            reachable: step.reachable
                && (step.metres <= BLUR
                    || !is_hasty(at, step) && !is_spike(at) && !is_spike(at + 1)),
            ..*step
        })
        .collect()
}

/// How fast the vehicle is around a fix while it moves, in m/s, by the steps that neither come to it nor leave it.
fn usual_speed(steps: &[Step], fix: usize) -> Option<f64> {
    let around = fix.saturating_sub(SPIKE_SIDE)..(fix + SPIKE_SIDE).min(steps.len());
    let mut speeds: Vec<f64> = around
        .filter(|at| *at != fix && at + 1 != fix)
        .map(|at| steps[at].metres / steps[at].seconds)
        .filter(|speed| *speed > SLOWEST)
        .collect();
    if speeds.len() < FEWEST_STEPS {
        return None;
    }
    median(&mut speeds).map(|speed| speed.max(USUAL_SPEED))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::model::{Micros, SECOND};

    /// What is left of fixes on a meridian, by index.
    fn left(places: &[(f64, f64)]) -> Vec<usize> {
        let fix = |&(second, lat): &(f64, f64)| Fix {
            time: (second * SECOND as f64) as Micros,
            lon: 24.0,
            lat,
            ..Fix::default()
        };
        believable(&places.iter().map(fix).collect::<Vec<_>>())
    }

    #[test]
    fn a_teleport_after_a_silence_is_one() {
        let places = [(0.0, 60.0), (300.0, 60.1), (330.0, 60.01), (360.0, 60.01)];
        assert_eq!(left(&places), [0, 2, 3]);
    }

    #[test]
    fn a_teleport_before_a_silence_is_one() {
        let places = [(0.0, 60.0), (30.0, 60.1), (330.0, 60.01), (360.0, 60.01)];
        assert_eq!(left(&places), [0, 2, 3]);
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
    fn no_vehicle_turns_back_at_several_times_its_speed() {
        // A fix each 30 s; 830 m off is 28 m/s, which a vehicle could drive.
        let with_glitch = |usual: f64| -> Vec<(f64, f64)> {
            let lat = |n: usize| 60.0 + usual * n as f64 + if n == 10 { 0.0075 } else { 0.0 };
            (0..20).map(|n| (30.0 * n as f64, lat(n))).collect()
        };
        assert_eq!(left(&with_glitch(0.001)).len(), 19);
        // Who drives as fast all the time may as well have been there.
        let fast = |n: usize| 60.0 + 0.0064 * (n % 2) as f64;
        let shuttle: Vec<(f64, f64)> = (0..20).map(|n| (30.0 * n as f64, fast(n))).collect();
        assert_eq!(left(&shuttle).len(), 20);
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
    fn a_receiver_that_has_just_woken_up_does_not_know_where_it_is() {
        let woken = |places: &[f64]| {
            let at = |(second, lat): (usize, &f64)| (second as f64, *lat);
            left(&places.iter().enumerate().map(at).collect::<Vec<_>>())
        };
        assert_eq!(woken(&[59.9, 60.0, 60.0]), [1, 2]);
        assert_eq!(woken(&[59.9, 59.9, 60.0, 60.0, 60.0]), [2, 3, 4]);
        // Neither side has more to say,
        assert_eq!(woken(&[59.9, 59.9, 60.0, 60.0]).len(), 4);
        // it was there for longer,
        assert_eq!(woken(&[[59.9; 4], [60.0; 4]].concat()).len(), 8);
        // or it fell silent there for a while: 1.1 km in 20 s.
        let frozen = [(0.0, 60.0), (10.0, 60.0), (19.0, 60.0), (20.0, 60.01)];
        let on = (1..4).map(|n| (20.0 + f64::from(n), 60.01));
        assert_eq!(
            left(&frozen.into_iter().chain(on).collect::<Vec<_>>())[0],
            0
        );
    }

    #[test]
    fn a_last_fix_that_cannot_be_reached_speaks_against_none() {
        let places = [(0.0, 60.0), (180.0, 60.001), (240.0, 60.1)];
        assert_eq!(left(&places), [0, 1, 2]);
    }
}
