//! Which windows want work, and who does it.
//!
//! A worker owns a device, not a window, until its transaction ends: neighbouring windows are
//! decided together, and two workers can never wait for each other.

use pgrx::datum::{TimestampWithTimeZone, Uuid};

use super::groups::Group;
use super::source::Source;
use super::statement::{Columns, execute, rows, timestamps};
use crate::backend::{interval, now, timestamp};
use crate::error::Error;
use crate::track::{Micros, Window};

/// How long a batch that was claimed by hand is left to whoever claimed it.
const LEASE: Micros = 10 * 60 * 1_000_000;

/// A window of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceWindow {
    pub device: String,
    pub span: Window,
}

/// What is on record of a window.
#[derive(Debug, Clone)]
pub struct Known {
    pub batch: Uuid,
    pub retries: i32,
    /// No outcome of the window is on record: all its points are to name this batch.
    pub new: bool,
    /// The outcome on record is that of an open window.
    pub provisional: bool,
    /// The group that the device was in when it was matched.
    pub group: Group,
}

/// A device that has unprocessed points, by those that were looked at.
pub struct WaitingDevice {
    pub device: String,
    pub oldest: Micros,
    pub newest: Micros,
    pub points: i64,
}

/// Devices that have unprocessed points in a span, by the first `most` of these points.
pub fn waiting_devices(
    source: &Source,
    (since, until): (Micros, Micros),
    most: i64,
) -> Result<Vec<WaitingDevice>, Error> {
    source.search(
        "look for unprocessed points",
        include_str!("waiting_devices.sql"),
        &[
            timestamp(since).into(),
            timestamp(until).into(),
            most.into(),
        ],
        |row| {
            Ok(WaitingDevice {
                device: row.get(1)?,
                oldest: row.time(2)?,
                newest: row.time(3)?,
                points: row.get(4)?,
            })
        },
    )
}

/// Windows that have unprocessed points in a span: device, first and last such point.
pub fn waiting_live(
    source: &Source,
    (since, until): (Micros, Micros),
    window: Micros,
) -> Result<Vec<(String, Micros, Micros)>, Error> {
    source.search(
        "look for new points",
        include_str!("waiting_live.sql"),
        &[
            timestamp(since).into(),
            timestamp(until).into(),
            interval(window).into(),
        ],
        |row| Ok((row.get(1)?, row.time(2)?, row.time(3)?)),
    )
}

/// Moments of the first and last unprocessed point of each window that has any: device, first,
/// last. `devices` come with the moment from which to look.
pub fn waiting_windows(
    source: &Source,
    devices: &[(String, Micros)],
    until: Micros,
    window: Micros,
    most_a_device: i32,
) -> Result<Vec<(String, Micros, Micros)>, Error> {
    let names: Vec<&str> = devices.iter().map(|(name, _)| name.as_str()).collect();
    let earliest = devices.iter().map(|(_, since)| *since).min();
    source.search(
        "look for windows with unprocessed points",
        include_str!("waiting_windows.sql"),
        &[
            names.into(),
            timestamps(devices.iter().map(|(_, since)| *since)).into(),
            timestamp(until).into(),
            interval(window).into(),
            most_a_device.into(),
            timestamp(earliest.unwrap_or(until)).into(),
        ],
        |row| Ok((row.get(1)?, row.time(2)?, row.time(3)?)),
    )
}

/// Makes up to `most` of these devices ours until the transaction ends, in their order; passes
/// over those that another worker has.
pub fn lock_devices(devices: &[String], most: usize) -> Result<Vec<String>, Error> {
    rows(
        "lock devices",
        include_str!("lock_devices.sql"),
        &[devices.to_vec().into(), (most as i64).into()],
        |row| row.get(1),
    )
}

/// A device that has batches which are due.
pub struct DueDevice {
    pub device: String,
    pub windows: i64,
    /// When the first of them became so.
    pub since: Micros,
}

/// Devices with batches that became due in a span, the one first of which that is longest ago: those of jobs or all others,
/// but for some.
pub fn due_devices(
    of_jobs: bool,
    (since, now): (Micros, Micros),
    most: usize,
    but: impl Iterator<Item = String>,
) -> Result<Vec<DueDevice>, Error> {
    rows(
        "look for batches that are due",
        include_str!("due_devices.sql"),
        &[
            interval(LEASE).into(),
            of_jobs.into(),
            (most as i64).into(),
            but.collect::<Vec<_>>().into(),
            timestamp(now).into(),
            timestamp(since).into(),
        ],
        |row| {
            Ok(DueDevice {
                device: row.get(1)?,
                windows: row.get(2)?,
                since: row.time(3)?,
            })
        },
    )
}

/// Windows of these devices that became due in a span.
pub fn due_windows(
    devices: &[String],
    (since, now): (Micros, Micros),
    most: usize,
) -> Result<Vec<DeviceWindow>, Error> {
    rows(
        "look for batches that are due",
        include_str!("due_windows.sql"),
        &[
            interval(LEASE).into(),
            devices.to_vec().into(),
            (most as i64).into(),
            timestamp(now).into(),
            timestamp(since).into(),
        ],
        |row| device_window(row, 1),
    )
}

/// Windows that must be left alone for now.
pub fn held_windows() -> Result<Vec<DeviceWindow>, Error> {
    rows(
        "look for windows that are put off",
        include_str!("held_windows.sql"),
        &[interval(LEASE).into(), timestamp(now()).into()],
        |row| device_window(row, 1),
    )
}

pub(super) fn device_window(row: &Columns, at: usize) -> Result<DeviceWindow, Error> {
    Ok(DeviceWindow {
        device: row.get(at)?,
        span: Window {
            start: row.time(at + 1)?,
            end: row.time(at + 2)?,
        },
    })
}

/// Columns of windows, as statements take them.
pub(super) fn devices<'a>(windows: impl IntoIterator<Item = &'a DeviceWindow>) -> Vec<&'a str> {
    windows.into_iter().map(|w| w.device.as_str()).collect()
}

pub(super) fn starts<'a>(
    windows: impl IntoIterator<Item = &'a DeviceWindow>,
) -> Vec<TimestampWithTimeZone> {
    timestamps(windows.into_iter().map(|w| w.span.start))
}

pub(super) fn ends<'a>(
    windows: impl IntoIterator<Item = &'a DeviceWindow>,
) -> Vec<TimestampWithTimeZone> {
    timestamps(windows.into_iter().map(|w| w.span.end))
}

/// Makes what is on record of these windows, and what they hold, ours until the transaction ends; returns the devices of
/// which somebody else has a part of that.
pub fn lock_windows(windows: &[DeviceWindow]) -> Result<Vec<String>, Error> {
    rows(
        "lock what is on record",
        include_str!("lock_windows.sql"),
        &[
            devices(windows).into(),
            starts(windows).into(),
            ends(windows).into(),
        ],
        |row| row.get(1),
    )
}

/// What is on record of each of these windows, in their order.
pub fn known_batches(windows: &[DeviceWindow]) -> Result<Vec<Known>, Error> {
    rows(
        "look up batches",
        include_str!("known_batches.sql"),
        &[devices(windows).into(), starts(windows).into()],
        |row| {
            Ok(Known {
                batch: row.get(1)?,
                retries: row.get(2)?,
                new: row.get(3)?,
                provisional: row.get(4)?,
                group: row.maybe(5)?,
            })
        },
    )
}

/// Finished windows that new points (device, first, last) reach; `reach` is the furthest that a
/// window's context goes beyond its start and its end.
pub fn neighbours(
    new: &[(String, Micros, Micros)],
    reach: Micros,
) -> Result<Vec<DeviceWindow>, Error> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    rows(
        "look for windows that new points reach",
        "SELECT device_id, start_time, end_time FROM @extschema@._reached($1, $2, $3, $4)",
        &[
            new.iter().map(|n| n.0.as_str()).collect::<Vec<_>>().into(),
            timestamps(new.iter().map(|n| n.1)).into(),
            timestamps(new.iter().map(|n| n.2)).into(),
            interval(reach).into(),
        ],
        |row| device_window(row, 1),
    )
}

/// Windows of batches that devices' points name, and whether each is a window of that device.
pub fn windows_of(batches: Vec<(Uuid, &str)>) -> Result<Vec<(bool, DeviceWindow)>, Error> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, devices): (Vec<Uuid>, Vec<&str>) = batches.into_iter().unzip();
    rows(
        "look up windows that points were moved away from",
        "SELECT b.device_id = moved.device, b.device_id, b.start_time, b.end_time \
           FROM unnest($1::uuid[], $2::text[]) AS moved (batch, device) \
           JOIN @extschema@.processing_batches b ON b.batch_id = moved.batch",
        &[ids.into(), devices.into()],
        |row| Ok((row.get(1)?, device_window(row, 2)?)),
    )
}

/// Batches of another length that overlap windows of the present one.
pub fn overlapped(windows: &[DeviceWindow]) -> Result<Vec<DeviceWindow>, Error> {
    rows(
        "look for windows of another length",
        "SELECT DISTINCT device_id, start_time, end_time FROM @extschema@._overlapped($1, $2)",
        &[devices(windows).into(), starts(windows).into()],
        |row| device_window(row, 1),
    )
}

/// Replaces those batches by windows that are on record as due from here on.
pub fn recut(windows: &[DeviceWindow]) -> Result<(), Error> {
    execute(
        "replace batches of another window length",
        "SELECT @extschema@._recut($1, $2)",
        &[devices(windows).into(), starts(windows).into()],
    )
}

/// Puts windows on record as pending; those that are there already become due.
pub fn make_pending(windows: &[DeviceWindow]) -> Result<(), Error> {
    execute(
        "make batches",
        "SELECT @extschema@._make_due($1, $2, $3)",
        &[
            devices(windows).into(),
            starts(windows).into(),
            ends(windows).into(),
        ],
    )
}

/// Marks up to `most` pending batches as taken by hand and returns their ids.
pub fn take_pending(most: i32) -> Result<Vec<Uuid>, Error> {
    rows(
        "claim batches",
        include_str!("take_pending.sql"),
        &[most.into(), timestamp(now()).into()],
        |row| row.get(1),
    )
}

/// Windows of these batches, whatever their status; their devices must be locked next.
pub fn reclaim(batches: Vec<Uuid>) -> Result<Vec<DeviceWindow>, Error> {
    rows(
        "look up claimed batches",
        "SELECT device_id, start_time, end_time FROM @extschema@.processing_batches \
          WHERE batch_id = ANY ($1) ORDER BY device_id, start_time",
        &[batches.into()],
        |row| device_window(row, 1),
    )
}

/// Lets go of those of these batches that are still in the hands of whoever claimed them.
pub fn hand_back(batches: Vec<Uuid>) -> Result<(), Error> {
    execute(
        "hand batches back",
        include_str!("hand_back.sql"),
        &[batches.into()],
    )
}
