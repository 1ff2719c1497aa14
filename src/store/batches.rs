//! Writing what became of windows.

use pgrx::datum::Uuid;

use super::claims::{DeviceWindow, devices, ends, starts};
use super::groups::Group;
use super::statement::{execute, rows};
use crate::backend::timestamp;
use crate::error::Error;
use crate::osrm::Refusal;
use crate::track::Micros;

/// What a batch's row is to say.
#[derive(Debug)]
pub struct BatchRow {
    pub batch: Uuid,
    pub window: DeviceWindow,
    pub status: Status,
    pub points: i32,
    pub osrm_calls: i32,
    pub started: Micros,
    pub error: Option<Refusal>,
    pub retries: i32,
    /// When a pending batch is due.
    pub next_attempt: Micros,
    /// `None` while the window has no outcome.
    pub context: Option<(Micros, Micros)>,
    pub duplicates: i32,
    pub outliers: i32,
    pub rejected: i32,
    /// When the window is to be matched once more.
    pub settles: Option<Micros>,
    pub group: Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Pending,
    Completed,
    Failed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

fn column<T>(batches: &[BatchRow], of: impl Fn(&BatchRow) -> T) -> Vec<T> {
    batches.iter().map(of).collect()
}

/// A part of what went wrong with each.
fn errors(batches: &[BatchRow], part: fn(&Refusal) -> &str) -> Vec<Option<String>> {
    column(batches, |b| b.error.as_ref().map(|e| part(e).to_string()))
}

/// Writes batches, new ones and known ones.
pub fn write_batches(batches: &[BatchRow]) -> Result<(), Error> {
    if batches.is_empty() {
        return Ok(());
    }
    let windows = || batches.iter().map(|b| &b.window);
    execute(
        "write batches",
        include_str!("write_batches.sql"),
        &[
            column(batches, |b| b.batch).into(),
            devices(windows()).into(),
            starts(windows()).into(),
            ends(windows()).into(),
            column(batches, |b| b.status.name()).into(),
            column(batches, |b| b.points).into(),
            column(batches, |b| b.osrm_calls).into(),
            column(batches, |b| timestamp(b.started)).into(),
            errors(batches, |e| &e.message).into(),
            errors(batches, |e| &e.code).into(),
            column(batches, |b| b.retries).into(),
            column(batches, |b| timestamp(b.next_attempt)).into(),
            column(batches, |b| b.context.map(|c| timestamp(c.0))).into(),
            column(batches, |b| b.context.map(|c| timestamp(c.1))).into(),
            column(batches, |b| b.duplicates).into(),
            column(batches, |b| b.outliers).into(),
            column(batches, |b| b.rejected).into(),
            column(batches, |b| b.settles.map(timestamp)).into(),
            column(batches, |b| b.group.clone()).into(),
        ],
    )?;
    require_written(batches)
}

/// Writes batches of windows whose line went on; what they count comes on top of what was there.
pub fn write_onward(batches: &[BatchRow]) -> Result<(), Error> {
    if batches.is_empty() {
        return Ok(());
    }
    let windows = || batches.iter().map(|b| &b.window);
    execute(
        "write batches of open windows",
        include_str!("write_onward.sql"),
        &[
            column(batches, |b| b.batch).into(),
            devices(windows()).into(),
            starts(windows()).into(),
            ends(windows()).into(),
            column(batches, |b| b.points).into(),
            column(batches, |b| b.osrm_calls).into(),
            column(batches, |b| timestamp(b.started)).into(),
            errors(batches, |e| &e.message).into(),
            errors(batches, |e| &e.code).into(),
            column(batches, |b| b.settles.map(timestamp)).into(),
            column(batches, |b| b.rejected).into(),
            column(batches, |b| b.group.clone()).into(),
        ],
    )?;
    require_written(batches)
}

/// A trigger may have been against it. A window that is due all the same would be matched again, and again.
fn require_written(batches: &[BatchRow]) -> Result<(), Error> {
    let windows = || batches.iter().map(|b| &b.window);
    let due = |b: &BatchRow| match b.status {
        Status::Pending => Some(timestamp(b.next_attempt)),
        Status::Completed => b.settles.map(timestamp),
        Status::Failed => None,
    };
    let otherwise = rows(
        "look whether batches are as they were written",
        include_str!("not_as_written.sql"),
        &[
            devices(windows()).into(),
            starts(windows()).into(),
            column(batches, due).into(),
        ],
        |row| row.get(1),
    )?;
    match otherwise.first() {
        Some(true) => Err(Error::NotRecorded),
        _ => Ok(()),
    }
}

/// Makes due what was put off while a clock was ahead.
pub fn take_back_put_off() -> Result<(), Error> {
    execute(
        "look for what was put off while a clock was ahead",
        include_str!("put_off_ahead.sql"),
        &[],
    )
}
