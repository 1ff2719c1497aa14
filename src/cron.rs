//! When a schedule of pg_cron runs next.
//!
//! croner reads more than pg_cron does, and takes a step over all days for a restriction, which
//! pg_cron does not. What the two differ in is settled here.

use chrono::{DateTime, TimeDelta, Utc};
use croner::parser::{CronParser, Seconds, Year};

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The first run after a moment, by pg_cron's clock; `None` where the schedule cannot be read, or
/// names no day that there is.
pub fn next_run(schedule: &str, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Some(pause) = pause(schedule) {
        return after.checked_add_signed(pause);
    }
    let fields: Vec<&str> = schedule.split_ascii_whitespace().collect();
    let &[minute, hour, day, month, weekday] = fields.as_slice() else {
        return None;
    };
    let is_read_alike = is_plain(minute, &[])
        && is_plain(hour, &[])
        && (day == "$" || is_plain(day, &[]))
        && is_plain(month, &MONTHS)
        && is_plain(weekday, &WEEKDAYS);
    if !is_read_alike {
        return None;
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        // Where both days are restricted either will do, but a field with a star restricts nothing.
        .dom_and_dow(day.starts_with('*') || weekday.starts_with('*'))
        .build();
    // The last day of a month has another sign.
    let pattern = [minute, hour, &day.replace('$', "L"), month, weekday].join(" ");
    parser
        .parse(&pattern)
        .ok()?
        .find_next_occurrence(&after, false)
        .ok()
}

/// `30 seconds`: so long after the last run.
fn pause(schedule: &str) -> Option<TimeDelta> {
    let words: Vec<&str> = schedule.split_ascii_whitespace().collect();
    match words.as_slice() {
        &[count, "second" | "seconds"] => {
            Some(TimeDelta::seconds(count.parse::<u32>().ok()?.into()))
        }
        _ => None,
    }
}

/// Whether a field holds nothing but numbers, stars and such names.
fn is_plain(field: &str, names: &[&str]) -> bool {
    let is_name = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    field
        .split([',', '-', '/'])
        .all(|word| word == "*" || is_number(word) || is_name(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next run after a Saturday evening.
    fn next(schedule: &str) -> Option<String> {
        let after = "2024-05-04T18:50:30Z".parse().expect("a moment");
        Some(next_run(schedule, after)?.format("%F %T").to_string())
    }

    #[track_caller]
    fn runs(schedule: &str, at: &str) {
        assert_eq!(next(schedule).as_deref(), Some(at), "{schedule}");
    }

    #[test]
    fn each_field_is_read() {
        runs("* * * * *", "2024-05-04 18:51:00");
        runs("*/5 * * * *", "2024-05-04 18:55:00");
        runs("17 3 * * *", "2024-05-05 03:17:00");
        runs("10-20/5 0-3 * * *", "2024-05-05 00:10:00");
        runs("0 0 1 jan *", "2025-01-01 00:00:00");
        runs("0 9 * * mon-fri", "2024-05-06 09:00:00");
        runs("0 9 * * Sun", "2024-05-05 09:00:00");
        runs("0 9 * * 7", "2024-05-05 09:00:00");
        runs("  0\t9 * 6,8 * ", "2024-06-01 09:00:00");
    }

    #[test]
    fn a_run_comes_after_the_moment_and_not_at_it() {
        let at = "2024-05-04T18:50:00Z".parse().expect("a moment");
        let next = next_run("50 18 * * *", at).expect("a run");
        assert_eq!(next, at + TimeDelta::days(1));
        let just_before = at - TimeDelta::microseconds(1);
        assert_eq!(next_run("50 18 * * *", just_before), Some(at));
    }

    #[test]
    fn either_day_will_do_where_both_are_restricted() {
        runs("0 0 13 * fri", "2024-05-10 00:00:00");
        runs("0 0 5 * fri", "2024-05-05 00:00:00");
        // A step over all days is no restriction: Monday must be an odd day.
        runs("0 0 */2 * mon", "2024-05-13 00:00:00");
        runs("0 0 13 * */2", "2024-06-13 00:00:00");
    }

    #[test]
    fn a_day_that_only_some_months_have_is_waited_for() {
        runs("0 0 29 2 *", "2028-02-29 00:00:00");
        runs("0 0 $ * *", "2024-05-31 00:00:00");
        runs("0 0 $ feb *", "2025-02-28 00:00:00");
        assert_eq!(next("0 0 31 2 *"), None);
    }

    #[test]
    fn seconds_count_from_the_last_run() {
        runs("30 seconds", "2024-05-04 18:51:00");
        runs(" 1 second", "2024-05-04 18:50:31");
        assert_eq!(next_run("1 second", DateTime::<Utc>::MAX_UTC), None);
    }

    #[test]
    fn what_pg_cron_cannot_read_has_no_next_run() {
        for schedule in [
            "",
            "nonsense",
            "@daily",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
            "* 24 * * *",
            "*/0 * * * *",
            "5/10 * * * *",
            "9-5 * * * *",
            "1,,2 * * * *",
            "-1 * * * *",
            "seconds",
            "x seconds",
            // Names of another field, and what only croner knows.
            "mon * * * *",
            "0 0 1 mon *",
            "0 0 * * jan",
            "0 0 L * *",
            "0 0 15W * *",
            "0 0 ? * *",
            "0 0 * * 5L",
            "0 0 * * fri#2",
            "0 0 13 * +fri",
            "0 0 $,1 * *",
            "$ * * * *",
        ] {
            assert_eq!(next(schedule), None, "{schedule}");
        }
    }
}
