//! What must hold of whole windows, with a city of straight streets for a map.

pub mod city;
mod properties;

use std::collections::BTreeSet;

use super::model::SECOND;
use super::*;
use city::{City, START, drive, fix, recipe, windows};

fn match_fixes(
    windows: &[Window],
    fixes: &[Fix],
    recipe: &Recipe,
    matcher: &dyn Matcher,
) -> Vec<Result<Outcome, MatchError>> {
    match_windows(windows, &Fixes::from(fixes.to_vec()), recipe, matcher)
}

fn outcomes(fixes: &[Fix], recipe: &Recipe, city: &City) -> Vec<Outcome> {
    let outcomes = match_fixes(&windows(fixes, recipe), fixes, recipe, city);
    outcomes
        .into_iter()
        .map(|o| Outcome {
            osrm_calls: 0,
            ..o.expect("an outcome")
        })
        .collect()
}

fn paths(fixes: &[Fix], recipe: &Recipe) -> Vec<Path> {
    outcomes(fixes, recipe, &City::default())
        .into_iter()
        .flat_map(|o| o.paths)
        .collect()
}

fn total(paths: &[Path]) -> f64 {
    paths.iter().map(|p| p.quality.length).sum()
}

/// Each path begins where and when the one before ended.
fn unbroken(paths: &[Path]) -> bool {
    paths
        .windows(2)
        .all(|w| w[0].end == w[1].start && w[0].line.last() == w[1].line.first())
}

#[test]
fn windows_do_not_show() {
    for every in [1, 5, 15, 60] {
        let fixes = drive(1_800, every, 0.0);
        let whole = paths(&fixes, &recipe(86_400));
        assert_eq!(whole.len(), 1, "every {every} s");
        // The smoother rounds corners that no vehicle can turn at such a speed.
        assert!(
            (total(&whole) - 18_000.0).abs() < 500.0,
            "{}",
            total(&whole)
        );
        for length in [60, 300, 420, 900] {
            let cut = paths(&fixes, &recipe(length));
            assert!(unbroken(&cut), "every {every} s in windows of {length} s");
            assert!((total(&cut) - total(&whole)).abs() < 1.0);
            assert!(cut.len() > 1 && cut.iter().all(|p| p.kind == PathKind::Matched));
        }
    }
}

#[test]
fn windows_shorter_than_the_interval_are_joined() {
    let fixes = drive(1_800, 60, 3.0);
    let cut = paths(&fixes, &recipe(20));
    assert!(unbroken(&cut));
    assert!((total(&cut) - 18_000.0).abs() < 90.0);
}

#[test]
fn a_window_of_outliers_is_run_over() {
    let mut fixes = drive(900, 60, 0.0);
    for f in fixes
        .iter_mut()
        .filter(|f| (START + 300 * SECOND..START + 600 * SECOND).contains(&f.time))
    {
        (f.lon, f.lat) = (0.0, 0.0);
    }
    let recipe = Recipe {
        max_gap: 400 * SECOND,
        ..recipe(300)
    };
    let outcomes = outcomes(&fixes, &recipe, &City::default());
    assert_eq!(outcomes[1].paths, []);
    assert_eq!(outcomes[1].dropped.null_island, 5);
    let (before, after) = (&outcomes[0].paths, &outcomes[2].paths);
    assert_eq!(before[before.len() - 1].end, after[0].start);
}

#[test]
fn a_silence_ends_the_path() {
    let mut fixes = drive(1_800, 5, 1.0);
    fixes.retain(|f| !(START + 600 * SECOND..START + 1_000 * SECOND).contains(&f.time));
    let paths = paths(&fixes, &recipe(86_400));
    assert_eq!(paths.len(), 2);
}

#[test]
fn a_tunnel_is_bridged() {
    let mut fixes = drive(1_800, 5, 1.0);
    fixes.retain(|f| !(START + 600 * SECOND..START + 640 * SECOND).contains(&f.time));
    let paths = paths(&fixes, &recipe(86_400));
    assert_eq!(paths.len(), 1);
    assert!((total(&paths) - 18_000.0).abs() < 90.0);
}

#[test]
fn a_parked_vehicle_is_a_stop_and_costs_nothing() {
    let scatter = |s: i64| {
        (
            (s * 7919 % 11) as f64 - 5.0,
            (s * 104_729 % 11) as f64 - 5.0,
        )
    };
    let fixes: Vec<Fix> = (0..7_200)
        .map(|s| fix(s as f64, 130.0 + scatter(s).0, 140.0 + scatter(s).1))
        .collect();
    let city = City::default();
    let outcomes = outcomes(&fixes, &recipe(300), &city);
    assert!(
        outcomes
            .iter()
            .all(|o| o.paths.is_empty() && o.stops.len() == 1)
    );
    assert_eq!(
        outcomes.iter().map(|o| o.stops[0].fixes).sum::<usize>(),
        fixes.len()
    );
    assert_eq!(city.asked.borrow().len(), 0);
}

#[test]
fn a_vehicle_that_is_parked_from_the_start_leaves_no_path() {
    let scatter = |s: i64| (s * 7919 % 7) as f64 - 3.0;
    for first in [0, 190, 240, 290] {
        for last in [first + 20, first + 100, first + 400] {
            let at = |s: i64| fix(s as f64, 130.0 + scatter(s), 140.0 + scatter(s + 3));
            let fixes: Vec<Fix> = (first..last).step_by(5).map(at).collect();
            assert_eq!(paths(&fixes, &recipe(300)), [], "{first} to {last}");
        }
    }
}

#[test]
fn a_halt_parts_the_paths() {
    let mut fixes = drive(600, 5, 2.0);
    let (there, end) = (fixes[60], START + 900 * SECOND);
    for f in fixes.iter_mut().skip(61) {
        f.time += 600 * SECOND;
    }
    let parked = (there.time..end).step_by(5 * SECOND as usize).skip(1);
    fixes.extend(parked.map(|time| Fix { time, ..there }));
    let outcomes = outcomes(&fixes, &recipe(86_400), &City::default());
    assert_eq!(outcomes[0].paths.len(), 2);
    assert_eq!(outcomes[0].stops.len(), 1);
    let stop = outcomes[0].stops[0];
    assert!(stop.end - stop.start > 590 * SECOND);
}

#[test]
fn a_halt_across_the_edge_of_slots_is_seen_whole() {
    for (from, seconds) in [
        (780, 130),
        (855, 130),
        (810, 130),
        (840, 240),
        (600, 400),
        (880, 400),
    ] {
        let mut fixes = drive(1_500, 5, 0.0);
        let there = fixes[from / 5];
        for f in fixes.iter_mut().skip(from / 5 + 1) {
            f.time += seconds * SECOND;
        }
        let parked = (there.time..there.time + seconds * SECOND).step_by(5 * SECOND as usize);
        fixes.extend(parked.skip(1).map(|time| Fix { time, ..there }));
        fixes.sort_by_key(|f| f.time);
        let outcomes = outcomes(&fixes, &recipe(300), &City::default());
        let stops: Vec<Stop> = outcomes.iter().flat_map(|o| o.stops.clone()).collect();
        let stood: Micros = stops.iter().map(|stop| stop.end - stop.start).sum();
        // From the first fix at the place to the last one.
        assert!(
            (stood - seconds * SECOND).abs() <= 10 * SECOND,
            "{from} {seconds}: {stops:?}"
        );
        let paths: Vec<Path> = outcomes.into_iter().flat_map(|o| o.paths).collect();
        let unlike = total(&paths) - 15_000.0;
        assert!(unlike.abs() < 100.0, "{from} {seconds}: {unlike} m");
    }
}

#[test]
fn no_road_leaves_one_raw_path() {
    let fixes: Vec<Fix> = (0..3)
        .map(|i| fix(60.0 * i as f64, 200.0 * i as f64, 50.0))
        .collect();
    let city = City {
        empty: true,
        ..City::default()
    };
    let outcome = &outcomes(&fixes, &recipe(300), &city)[0];
    assert_eq!(outcome.paths.len(), 1);
    let path = &outcome.paths[0];
    assert_eq!(
        (path.kind, path.line.len(), path.fixes),
        (PathKind::Raw, 3, 3)
    );
    assert_eq!(path.reason, Some(Reason::NoSegment));
    assert_eq!(
        outcome.refusal.as_ref().map(|r| r.code.as_str()),
        Some("NoSegment")
    );
}

#[test]
fn raw_lines_join_at_windows_too() {
    let city = City {
        empty: true,
        ..City::default()
    };
    let fixes = drive(1_200, 5, 0.0);
    let paths: Vec<Path> = outcomes(&fixes, &recipe(300), &city)
        .into_iter()
        .flat_map(|o| o.paths)
        .collect();
    assert!(paths.len() == 4 && unbroken(&paths));
}

#[test]
fn a_lone_fix_is_no_path() {
    let outcome = &outcomes(&[fix(0.0, 0.0, 0.0)], &recipe(300), &City::default())[0];
    assert!(outcome.paths.is_empty());
    let seen = outcome.stops[0];
    assert_eq!((seen.start, seen.end, seen.fixes), (START, START, 1));
    assert_eq!(
        outcome.context,
        (START - 300 * SECOND, START + 1_200 * SECOND)
    );
}

#[test]
fn a_tracker_that_sleeps_is_seen_whenever_it_wakes() {
    // Parked at the end of a drive, then three fixes each ten minutes.
    let mut fixes = drive(600, 5, 3.0);
    let there = fixes[fixes.len() - 1];
    let asleep = |wakes: i64| START + (600 + 600 * wakes) * SECOND;
    let wakes = (1..4).flat_map(|wakes| [0, 2, 4].map(|s| asleep(wakes) + s * SECOND));
    fixes.extend(wakes.map(|time| Fix { time, ..there }));
    for length in [60, 300, 3_600] {
        let outcomes = outcomes(&fixes, &recipe(length), &City::default());
        let stops: Vec<Stop> = outcomes.into_iter().flat_map(|o| o.stops).collect();
        let seen: Vec<_> = stops.iter().map(|s| (s.start, s.end, s.fixes)).collect();
        let woken = |wakes| (asleep(wakes), asleep(wakes) + 4 * SECOND, 3);
        assert_eq!(seen, [woken(1), woken(2), woken(3)]);
    }
}

#[test]
fn what_nothing_is_made_of_is_counted() {
    // Two vehicles, 80 km from each other, that take turns under one name.
    let turns = |s: i64| fix(s as f64, 10.0 * s as f64, 80_000.0 * (s / 5 % 2) as f64);
    let fixes: Vec<Fix> = (0..600).step_by(5).map(turns).collect();
    let outcomes = outcomes(&fixes, &recipe(300), &City::default());
    let count = |o: &Outcome| {
        let drawn = o.paths.iter().map(|p| p.fixes).sum::<usize>();
        drawn + o.stops.iter().map(|s| s.fixes).sum::<usize>() + o.dropped.teleport
    };
    assert_eq!(outcomes.iter().map(count).sum::<usize>(), fixes.len());
}

#[test]
fn small_requests_do() {
    let fixes = drive(900, 1, 3.0);
    for size in [2, 3, 4, 10] {
        let city = City::default();
        city.max_size.set(size);
        let outcomes = outcomes(&fixes, &recipe(300), &city);
        assert!(city.asked.borrow().iter().all(|r| r.points.len() <= size));
        let paths: Vec<Path> = outcomes.into_iter().flat_map(|o| o.paths).collect();
        assert!(
            unbroken(&paths) && (total(&paths) - 9_000.0).abs() < 60.0,
            "size {size}"
        );
    }
}

#[test]
fn a_server_with_a_lower_limit_is_met() {
    let city = City {
        server_size: 7,
        ..City::default()
    };
    let paths: Vec<Path> = outcomes(&drive(900, 1, 3.0), &recipe(300), &city)
        .into_iter()
        .flat_map(|o| o.paths)
        .collect();
    assert!(unbroken(&paths) && (total(&paths) - 9_000.0).abs() < 60.0);
}

#[test]
fn a_server_that_takes_no_two_points_is_unavailable() {
    let city = City {
        server_size: 1,
        ..City::default()
    };
    let fixes = drive(200, 5, 0.0);
    let outcome = &match_fixes(&windows(&fixes, &recipe(300)), &fixes, &recipe(300), &city)[0];
    assert!(
        matches!(outcome, Err(MatchError::Unavailable(_))),
        "{outcome:?}"
    );
}

#[test]
fn a_slow_request_is_never_repeated() {
    let fixes = drive(900, 1, 3.0);
    for slow_size in [2, 5, 20] {
        let city = City {
            slow_size,
            ..City::default()
        };
        let result = match_fixes(&windows(&fixes, &recipe(300)), &fixes, &recipe(300), &city);
        let asked = city.asked.borrow();
        let slow: Vec<String> = asked
            .iter()
            .filter(|r| r.points.len() > slow_size)
            .map(|r| r.path("driving"))
            .collect();
        let distinct: BTreeSet<&String> = slow.iter().collect();
        assert_eq!(distinct.len(), slow.len());
        assert!(
            result
                .iter()
                .all(|r| r.is_ok() || *r == Err(MatchError::TimedOut))
        );
        assert!(asked.len() < 500, "{}", asked.len());
    }
}

#[test]
fn a_cancel_ends_the_rest() {
    struct Cancelled;
    impl Matcher for Cancelled {
        fn ask(
            &self,
            _: &crate::osrm::MatchRequest,
        ) -> Result<crate::osrm::MatchAnswer, MatchError> {
            Err(MatchError::Cancelled)
        }
        fn max_size(&self) -> usize {
            100
        }
    }
    let fixes = drive(900, 5, 0.0);
    let result = match_fixes(
        &windows(&fixes, &recipe(300)),
        &fixes,
        &recipe(300),
        &Cancelled,
    );
    assert!(result.iter().all(|r| *r == Err(MatchError::Cancelled)));
}

#[test]
fn many_fixes_a_second_make_one_path() {
    let mut fixes = Vec::new();
    for f in drive(290, 1, 2.0) {
        fixes.extend((0..4).map(|k| Fix {
            time: f.time + k * SECOND / 4,
            ..f
        }));
    }
    let outcome = &outcomes(&fixes, &recipe(300), &City::default())[0];
    assert_eq!(outcome.paths.len(), 1);
    assert_eq!(outcome.dropped.duplicate, fixes.len() * 3 / 4);
}

#[test]
fn a_million_fixes_take_no_more_than_their_time() {
    let fixes: Vec<Fix> = (0..1_000_000)
        .map(|i| fix(i as f64 * 0.0003, i as f64 * 0.003, 1.0))
        .collect();
    let outcome = &outcomes(&fixes, &recipe(300), &City::default())[0];
    assert_eq!(outcome.paths.len(), 1);
}
