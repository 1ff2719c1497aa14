//! What must hold of whole windows, with a city of straight streets for a map.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::clean::SECOND;
use super::grid::{City, START, drive, fix, recipe, windows};
use super::*;

fn outcomes(fixes: &[Fix], recipe: &Recipe, city: &City) -> Vec<Outcome> {
    let outcomes = match_windows(&windows(fixes, recipe), fixes, recipe, city);
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
    assert_eq!(path.reason.as_deref(), Some("NoMatch"));
    assert_eq!(
        outcome.refusal.as_ref().map(|r| r.code.as_str()),
        Some("NoMatch")
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
    assert!(outcome.paths.is_empty() && outcome.stops.is_empty());
    assert_eq!(
        outcome.context,
        (START - 300 * SECOND, START + 600 * SECOND)
    );
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
    let outcome = &match_windows(&windows(&fixes, &recipe(300)), &fixes, &recipe(300), &city)[0];
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
        let result = match_windows(&windows(&fixes, &recipe(300)), &fixes, &recipe(300), &city);
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
    let result = match_windows(
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

/// Drives with everything that happens to them: halts, silences, teleports, noise, several fixes
/// a second.
fn journey() -> impl Strategy<Value = Vec<Fix>> {
    let step = prop_oneof![
        6 => (1.0..20.0f64, -1.0..1.0f64, -1.0..1.0f64),
        1 => (0.0..0.9f64, -1.0..1.0f64, -1.0..1.0f64),
        1 => (20.0..400.0f64, -1.0..1.0f64, -1.0..1.0f64),
        1 => (1.0..5.0f64, -300.0..300.0f64, -300.0..300.0f64),
    ];
    (
        proptest::collection::vec((step, 0u8..40), 2..120),
        0.0..400.0f64,
    )
        .prop_map(|(steps, first)| {
            let (mut t, mut x, mut y, mut heading) = (first, 0.0, 0.0, 0);
            let mut fixes = Vec::new();
            for ((dt, nx, ny), turn) in steps {
                t += dt;
                match turn {
                    0..4 => heading = (heading + 1) % 4,
                    4..8 => heading = (heading + 3) % 4,
                    // Stands.
                    8..14 => heading |= 4,
                    14..20 => heading &= 3,
                    _ => {}
                }
                let way = 10.0 * dt.min(60.0);
                match heading {
                    0 => x += way,
                    1 => y += way,
                    2 => x -= way,
                    3 => y -= way,
                    _ => {}
                }
                fixes.push(fix(t, x + 8.0 * nx, y + 8.0 * ny));
            }
            fixes
        })
}

/// Whatever a table may hold.
fn hostile() -> impl Strategy<Value = Vec<Fix>> {
    let time = prop_oneof![
        Just(0i64),
        -2_000_000_000i64..2_000_000_000,
        any::<i64>().prop_map(|t| t / 4),
    ];
    let lon = prop_oneof![
        Just(180.0),
        Just(-180.0),
        Just(0.0),
        -180.0..180.0f64,
        24.9..24.91f64
    ];
    let lat = prop_oneof![
        Just(90.0),
        Just(-90.0),
        Just(0.0),
        -90.0..90.0f64,
        60.2..60.21f64
    ];
    let accuracy = proptest::option::of(prop_oneof![1e-300..1e300f64, 1.0..30.0f64]);
    let fix = (time, lon, lat, accuracy).prop_map(|(time, lon, lat, accuracy)| Fix {
        time,
        lon,
        lat,
        accuracy,
    });
    proptest::collection::vec(fix, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arrival_does_not_matter(
        (fixes, mixed) in journey().prop_flat_map(|fixes| {
            let doubled: Vec<Fix> = fixes.iter().chain(fixes.iter().step_by(3)).copied().collect();
            (Just(fixes), Just(doubled).prop_shuffle())
        }),
        length in prop_oneof![Just(30), Just(60), Just(300), Just(3_600)],
    ) {
        let recipe = recipe(length);
        let city = City::default();
        // A copy is counted as what it is, and changes nothing else.
        let but_for_copies = |fixes: &[Fix]| {
            let mut all = outcomes(fixes, &recipe, &city);
            all.iter_mut().for_each(|outcome| outcome.dropped.duplicate = 0);
            all
        };
        prop_assert_eq!(but_for_copies(&fixes), but_for_copies(&mixed));
    }

    #[test]
    fn each_window_is_matched_as_if_alone(
        fixes in journey(),
        length in prop_oneof![Just(30), Just(60), Just(300), Just(900)],
    ) {
        let recipe = recipe(length);
        let city = City::default();
        let together = outcomes(&fixes, &recipe, &city);
        for (window, expected) in windows(&fixes, &recipe).into_iter().zip(together) {
            let (from, to) = view(window, &recipe);
            let own: Vec<Fix> =
                fixes.iter().filter(|f| from <= f.time && f.time < to).copied().collect();
            let alone = match_windows(&[window], &own, &recipe, &city).remove(0).unwrap();
            prop_assert_eq!(Outcome { osrm_calls: 0, ..alone }, expected);
        }
    }

    #[test]
    fn what_lies_beyond_the_context_does_not_matter(
        fixes in journey(),
        length in prop_oneof![Just(30), Just(60), Just(300), Just(900)],
    ) {
        let recipe = recipe(length);
        let city = City::default();
        for (window, expected) in
            windows(&fixes, &recipe).into_iter().zip(outcomes(&fixes, &recipe, &city))
        {
            let (from, to) = expected.context;
            prop_assert!(from <= window.start && window.end <= to);
            let own: Vec<Fix> =
                fixes.iter().filter(|f| from <= f.time && f.time < to).copied().collect();
            let alone = match_windows(&[window], &own, &recipe, &city).remove(0).unwrap();
            prop_assert_eq!(Outcome { osrm_calls: 0, ..alone }, expected);
        }
    }

    #[test]
    fn paths_begin_in_their_window_and_meet(
        fixes in journey(),
        length in prop_oneof![Just(30), Just(60), Just(300), Just(900)],
    ) {
        let recipe = recipe(length);
        let windows = windows(&fixes, &recipe);
        let outcomes = outcomes(&fixes, &recipe, &City::default());
        for (window, outcome) in windows.iter().zip(&outcomes) {
            for path in &outcome.paths {
                prop_assert!(window.start <= path.start && path.start < window.end);
                prop_assert!(path.start < path.end && path.line.len() > 1);
            }
            for stop in &outcome.stops {
                prop_assert!(window.start <= stop.start && stop.end <= window.end);
            }
        }
        let paths: Vec<&Path> = outcomes.iter().flat_map(|o| &o.paths).collect();
        for pair in paths.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start);
            if pair[0].end == pair[1].start {
                prop_assert_eq!(pair[0].line.last(), pair[1].line.first());
            }
        }
    }

    #[test]
    fn nothing_makes_it_panic(fixes in hostile(), length in 1i64..100_000) {
        let recipe = recipe(length);
        let asked = windows(&fixes, &recipe);
        let got = match_windows(&asked, &fixes, &recipe, &City::default());
        prop_assert_eq!(got.len(), asked.len());
    }
}
