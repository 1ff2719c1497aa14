//! Functions that only the extension's own SQL calls.

use chrono::DateTime;
use pgrx::datum::{Interval, Json, TimestampWithTimeZone};
use pgrx::prelude::*;

use crate::store::Source;
use crate::track::Micros;
use crate::{backend, cron, settings};

/// Whether the worker may work.
#[pg_extern(stable, parallel_safe)]
fn _enabled() -> bool {
    settings::enabled()
}

#[pg_extern(stable, parallel_safe)]
fn _window() -> Interval {
    interval(settings::window())
}

#[pg_extern(stable, parallel_safe)]
fn _max_gap() -> Interval {
    interval(settings::max_gap())
}

#[pg_extern(stable, parallel_safe)]
fn _look_back() -> Interval {
    interval(settings::look_back())
}

fn interval(micros: Micros) -> Interval {
    Interval::new(0, 0, micros).expect("a span without months and days is always valid")
}

/// A statement whose marks are replaced by a source's fragments.
#[pg_extern(immutable, parallel_safe, strict)]
fn _fill(template: &str, fragments: Json) -> String {
    Source::new(fragments.0).statement(template)
}

/// When a schedule of pg_cron runs next; null where it cannot be read.
#[pg_extern(immutable, parallel_safe, strict)]
fn _next_run(
    schedule: &str,
    after: default!(TimestampWithTimeZone, "pg_catalog.now()"),
) -> Option<TimestampWithTimeZone> {
    let after = DateTime::from_timestamp_micros(backend::micros(after))?;
    let next = cron::next_run(schedule, after)?;
    Some(backend::timestamp(next.timestamp_micros()))
}
