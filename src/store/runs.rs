//! The log of runs, and the steps of upkeep that a run takes on its way.

use super::{rows, timestamp};
use crate::error::Error;
use crate::track::Micros;

/// What a run's row is to say; counts are added to those of an earlier round of the same run.
#[derive(Debug, Default, Clone)]
pub struct RunRow {
    pub started: Micros,
    pub windows_completed: i32,
    pub windows_failed: i32,
    pub windows_deferred: i32,
    pub points: i64,
    pub rejected: i64,
    pub paths: i32,
    pub osrm_calls: i32,
    pub millis: i32,
    pub osrm_error: Option<String>,
}

/// Records a run, or a further round of run `id`; returns the run's id.
pub fn record_run(id: Option<i64>, run: &RunRow) -> Result<i64, Error> {
    let ids = rows(
        "record the run",
        include_str!("record_run.sql"),
        &[
            id.into(),
            timestamp(run.started).into(),
            run.windows_completed.into(),
            run.windows_failed.into(),
            run.windows_deferred.into(),
            run.points.into(),
            run.rejected.into(),
            run.paths.into(),
            run.osrm_calls.into(),
            run.millis.into(),
            run.osrm_error.clone().into(),
        ],
        |row| row.get(1),
    )?;
    Ok(ids.first().copied().unwrap_or_default())
}

/// Lets jobs put up to `most` further windows on record as pending; says how many they did.
pub fn advance_jobs(most: usize) -> Result<i32, Error> {
    let counts = rows(
        "advance jobs",
        "SELECT coalesce(_advance_jobs($1), 0)",
        &[(most as i32).into()],
        |row| row.get(1),
    )?;
    Ok(counts.first().copied().unwrap_or(0))
}

/// Sets rows of adopted tables aside that no window can hold: without device, without a time.
pub fn reject_unreachable() -> Result<i64, Error> {
    let counts = rows(
        "set unusable rows aside",
        "SELECT coalesce(_reject_unreachable(), 0)",
        &[],
        |row| row.get(1),
    )?;
    Ok(counts.first().copied().unwrap_or(0))
}
