//! Moments and spans: Postgres counts from an epoch of its own, everything else here from Unix's.

use std::time::{Duration, SystemTime};

use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys;

use crate::track::Micros;

/// Microseconds from the Unix epoch to Postgres's own, 2000-01-01.
const POSTGRES_EPOCH: Micros = 946_684_800_000_000;

/// The present moment, by the clock rather than by the transaction's begin.
pub fn now() -> Micros {
    // SAFETY: no arguments, no failure.
    unsafe { pg_sys::GetCurrentTimestamp() }.saturating_add(POSTGRES_EPOCH)
}

/// When the transaction began, which is what now() says in SQL.
pub fn transaction_begin() -> Micros {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }.saturating_add(POSTGRES_EPOCH)
}

/// A moment for SQL. Times outside of what Postgres can hold become its infinities.
pub fn timestamp(micros: Micros) -> TimestampWithTimeZone {
    TimestampWithTimeZone::try_from(micros.saturating_sub(POSTGRES_EPOCH)).unwrap_or_else(|_| {
        if micros > 0 {
            TimestampWithTimeZone::positive_infinity()
        } else {
            TimestampWithTimeZone::negative_infinity()
        }
    })
}

/// A span for SQL, none of it in days or months.
pub fn interval(micros: Micros) -> Interval {
    Interval::new(0, 0, micros).expect("a span without months and days is always valid")
}

/// A moment that came from SQL.
pub fn micros(timestamp: TimestampWithTimeZone) -> Micros {
    pg_sys::TimestampTz::from(timestamp).saturating_add(POSTGRES_EPOCH)
}

/// A moment of the system's clock.
pub fn system_time(micros: Micros) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros.max(0) as u64)
}

/// The same for SQL.
pub fn system_timestamp(moment: SystemTime) -> TimestampWithTimeZone {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    timestamp(since.unwrap_or_default().as_micros() as Micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_comes_back_as_it_went() {
        for moment in [0, -1, POSTGRES_EPOCH, 1_700_000_000_000_001] {
            assert_eq!(micros(timestamp(moment)), moment);
        }
    }

    #[test]
    fn what_lies_beyond_the_times_of_postgres_is_infinite() {
        let before_postgres = -10_000 * 365 * 86_400 * 1_000_000;
        assert!(timestamp(before_postgres).is_neg_infinity());
        let infinity = TimestampWithTimeZone::positive_infinity();
        assert_eq!(micros(infinity), Micros::MAX);
    }
}
