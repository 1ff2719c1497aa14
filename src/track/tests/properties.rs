//! What holds whatever the fixes are.

use proptest::prelude::*;

use super::city::{City, fix, recipe, windows};
use super::{match_fixes, outcomes};
use crate::track::model::SECOND;
use crate::track::*;

/// What a device, its clock or the network makes of some fixes that follow each other.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// They come all together, with the time of their arrival.
    Parcel,
    /// The receiver repeats a place.
    Frozen,
    /// The clock is set to another time from there on, or until it is set right.
    ClockAhead,
    ClockBack,
    /// The clock knows minutes only.
    Minutes,
    /// They are sent once more, with a later time.
    SentAgain,
    /// They say what cannot be true of all of them.
    Sensors,
}

fn faults() -> impl Strategy<Value = Vec<(Fault, usize, usize)>> {
    let fault = prop_oneof![
        Just(Fault::Parcel),
        Just(Fault::Frozen),
        Just(Fault::ClockAhead),
        Just(Fault::ClockBack),
        Just(Fault::Minutes),
        Just(Fault::SentAgain),
        Just(Fault::Sensors),
    ];
    proptest::collection::vec((fault, 0usize..120, 1usize..40), 0..4)
}

fn suffer(fixes: &mut Vec<Fix>, (fault, at, count): (Fault, usize, usize)) {
    let begin = at % fixes.len();
    let end = (begin + count).min(fixes.len());
    let seconds = count as i64 * 10 * SECOND;
    let some = &mut fixes[begin..end];
    let (first, last) = (some[0], some[some.len() - 1].time);
    match fault {
        Fault::Parcel => (0..)
            .zip(some)
            .for_each(|(nth, fix)| fix.time = last + nth * SECOND / 50),
        Fault::Frozen => some.iter_mut().for_each(|fix| {
            (fix.lon, fix.lat) = (first.lon, first.lat);
        }),
        Fault::ClockAhead => fixes[begin..]
            .iter_mut()
            .for_each(|fix| fix.time += seconds),
        Fault::ClockBack => some.iter_mut().for_each(|fix| fix.time -= seconds),
        Fault::Minutes => some
            .iter_mut()
            .for_each(|fix| fix.time -= fix.time % (60 * SECOND)),
        Fault::SentAgain => {
            let again = |fix: &Fix| Fix {
                time: fix.time + seconds,
                ..*fix
            };
            let sent: Vec<Fix> = some.iter().map(again).collect();
            fixes.extend(sent);
        }
        Fault::Sensors => some.iter_mut().for_each(|fix| {
            (fix.accuracy, fix.speed) = (Some(count as f64), Some(count as f64));
            fix.course = Some(9.0 * count as f64);
        }),
    }
    fixes.sort_by_key(|fix| fix.time);
}

/// Drives with everything that happens to them: halts, silences, teleports, noise, several fixes
/// a second, and faults.
fn journey() -> impl Strategy<Value = Vec<Fix>> {
    (drive(), faults()).prop_map(|(mut fixes, faults)| {
        faults
            .into_iter()
            .for_each(|fault| suffer(&mut fixes, fault));
        fixes
    })
}

/// Windows of some lengths, in seconds, beside silences that end a drive.
fn recipes() -> impl Strategy<Value = Recipe> {
    let length = prop_oneof![Just(30), Just(60), Just(300), Just(900), Just(3_600)];
    let max_gap = prop_oneof![Just(60), Just(300), Just(900)];
    (length, max_gap).prop_map(|(length, max_gap)| Recipe {
        max_gap: max_gap * SECOND,
        ..recipe(length)
    })
}

fn drive() -> impl Strategy<Value = Vec<Fix>> {
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
    let course = proptest::option::of(-360.0..=360.0f64);
    let speed = proptest::option::of(prop_oneof![0.0..1e300f64, 0.0..30.0f64]);
    let fix = (time, lon, lat, accuracy, course, speed).prop_map(
        |(time, lon, lat, accuracy, course, speed)| Fix {
            time,
            lon,
            lat,
            accuracy,
            course,
            speed,
        },
    );
    proptest::collection::vec(fix, 0..60)
}

/// The fixes of a span `[from, to)`.
fn within(fixes: &[Fix], (from, to): (Micros, Micros)) -> Vec<Fix> {
    let inside = |fix: &&Fix| (from..to).contains(&fix.time);
    fixes.iter().filter(inside).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arrival_does_not_matter(
        (fixes, mixed) in journey().prop_flat_map(|fixes| {
            let doubled: Vec<Fix> = fixes.iter().chain(fixes.iter().step_by(3)).copied().collect();
            (Just(fixes), Just(doubled).prop_shuffle())
        }),
        recipe in recipes(),
    ) {
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
        recipe in recipes(),
    ) {
        let city = City::default();
        let together = outcomes(&fixes, &recipe, &city);
        for (window, expected) in windows(&fixes, &recipe).into_iter().zip(together) {
            let own = within(&fixes, view(window, &recipe));
            let alone = match_fixes(&[window], &own, &recipe, &city).remove(0).unwrap();
            prop_assert_eq!(Outcome { osrm_calls: 0, ..alone }, expected);
        }
    }

    #[test]
    fn what_an_earlier_run_ended_with_changes_nothing(
        fixes in journey(),
        recipe in recipes(),
    ) {
        let city = City::default();
        let together = outcomes(&fixes, &recipe, &city);
        let mut seam = None;
        for (window, expected) in windows(&fixes, &recipe).into_iter().zip(together) {
            let own = within(&fixes, view(window, &recipe));
            let (mut alone, last) =
                match_windows_knowing(seam, &[window], &own.into(), &recipe, &city);
            prop_assert_eq!(Outcome { osrm_calls: 0, ..alone.remove(0).unwrap() }, expected);
            seam = last;
        }
    }

    #[test]
    fn what_lies_beyond_the_context_does_not_matter(
        fixes in journey(),
        recipe in recipes(),
    ) {
        let city = City::default();
        for (window, expected) in
            windows(&fixes, &recipe).into_iter().zip(outcomes(&fixes, &recipe, &city))
        {
            let (from, to) = expected.context;
            prop_assert!(from <= window.start && window.end <= to);
            let own = within(&fixes, (from, to));
            let alone = match_fixes(&[window], &own, &recipe, &city).remove(0).unwrap();
            prop_assert_eq!(Outcome { osrm_calls: 0, ..alone }, expected);
        }
    }

    #[test]
    fn paths_begin_in_their_window_and_meet(
        fixes in journey(),
        recipe in recipes(),
    ) {
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
        let got = match_fixes(&asked, &fixes, &recipe, &City::default());
        prop_assert_eq!(got.len(), asked.len());
    }
}
