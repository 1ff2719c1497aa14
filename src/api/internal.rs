//! Functions that only the extension's own SQL calls.

use chrono::DateTime;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::{backend, cron};

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
