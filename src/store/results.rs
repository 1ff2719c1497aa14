//! Writing what windows hold, and which points that is of: one statement a table, whatever the number of windows.

use std::collections::HashMap;

use pgrx::datum::Uuid;
use pgrx::pg_sys;

use super::claims::{DeviceWindow, devices, ends, starts};
use super::points::RowId;
use super::source::Source;
use super::statement::{execute, rows, timestamps};
use crate::backend::timestamp;
use crate::error::Error;
use crate::track::{Grade, Micros, Path, PathKind, Reason, Stop};

/// Something that a window holds, ready to be written.
#[derive(Debug)]
pub struct Written<T> {
    pub batch: Uuid,
    pub device: String,
    /// Milliseconds spent on the window.
    pub millis: i32,
    pub item: T,
}

fn each<T, V>(items: &[Written<T>], of: impl Fn(&Written<T>) -> V) -> Vec<V> {
    items.iter().map(of).collect()
}

/// Makes `paths` the only paths of `windows`; a path that is there already keeps its row. Returns
/// the devices whose line has changed.
pub fn write_paths(
    windows: &[DeviceWindow],
    paths: &[Written<(Path, String)>],
) -> Result<Vec<String>, Error> {
    let mut changed = remove_others("cached_polylines", windows, paths, |(path, _)| path.start)?;
    if !paths.is_empty() {
        let path = |of: fn(&Path) -> Option<f64>| each(paths, |p| of(&p.item.0).map(|v| v as f32));
        changed.extend(rows(
            "write paths",
            include_str!("write_paths.sql"),
            &[
                each(paths, |p| p.device.clone()).into(),
                each(paths, |p| timestamp(p.item.0.start)).into(),
                each(paths, |p| timestamp(p.item.0.end)).into(),
                each(paths, |p| p.item.1.clone()).into(),
                each(paths, |p| p.item.0.confidence).into(),
                each(paths, |p| p.item.0.line.len() as i32).into(),
                each(paths, |p| p.millis).into(),
                each(paths, |p| p.item.0.fixes as i32).into(),
                each(paths, |p| kind_name(p.item.0.kind)).into(),
                each(paths, |p| grade_name(p.item.0.quality.grade)).into(),
                path(|p| Some(p.quality.matched_share)).into(),
                path(|p| p.quality.mean_offset).into(),
                path(|p| Some(p.quality.length)).into(),
                path(|p| Some(p.quality.fixes_length)).into(),
                path(|p| Some(p.quality.top_speed)).into(),
                each(paths, |p| p.item.0.reason.map(reason_name)).into(),
                each(paths, |p| p.batch).into(),
            ],
            |row| row.get(1),
        )?);
    }
    Ok(changed)
}

const fn kind_name(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Matched => "matched",
        PathKind::Raw => "raw",
    }
}

const fn grade_name(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Doubtful => "doubtful",
        Grade::Raw => "raw",
    }
}

const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::NoSegment => "NoSegment",
        Reason::NoMatch => "NoMatch",
        Reason::TimedOut => "TimedOut",
        Reason::Unavailable => "Unavailable",
    }
}

/// Makes `stops` the only stops of `windows`.
pub fn write_stops(windows: &[DeviceWindow], stops: &[Written<Stop>]) -> Result<(), Error> {
    if windows.is_empty() {
        return Ok(());
    }
    execute(
        "cut stops of several windows",
        "SELECT @extschema@._cut_stops($1, $2, $3)",
        &[
            devices(windows).into(),
            starts(windows).into(),
            ends(windows).into(),
        ],
    )?;
    remove_others("stops", windows, stops, |stop| stop.start)?;
    if stops.is_empty() {
        return Ok(());
    }
    execute(
        "write stops",
        include_str!("write_stops.sql"),
        &[
            each(stops, |s| s.device.clone()).into(),
            each(stops, |s| timestamp(s.item.start)).into(),
            each(stops, |s| timestamp(s.item.end)).into(),
            each(stops, |s| s.item.lon).into(),
            each(stops, |s| s.item.lat).into(),
            each(stops, |s| s.item.fixes as i32).into(),
            each(stops, |s| s.batch).into(),
        ],
    )
}

/// Writes stops of open windows, each after the start of its window; one that is there already goes on.
pub fn write_onward_stops(stops: &[Written<(Micros, Stop)>]) -> Result<(), Error> {
    if stops.is_empty() {
        return Ok(());
    }
    execute(
        "write stops of open windows",
        include_str!("write_onward_stops.sql"),
        &[
            each(stops, |s| s.device.clone()).into(),
            each(stops, |s| timestamp(s.item.1.start)).into(),
            each(stops, |s| timestamp(s.item.1.end)).into(),
            each(stops, |s| s.item.1.lon).into(),
            each(stops, |s| s.item.1.lat).into(),
            each(stops, |s| s.item.1.fixes as i32).into(),
            each(stops, |s| timestamp(s.item.0)).into(),
            each(stops, |s| s.batch).into(),
        ],
    )
}

/// Deletes what windows held in `table` and hold no longer; returns the devices it belonged to.
fn remove_others<T>(
    table: &str,
    windows: &[DeviceWindow],
    keep: &[Written<T>],
    start: impl Fn(&T) -> Micros,
) -> Result<Vec<String>, Error> {
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let mut changed = remove_overtaken(table, windows)?;
    changed.extend(rows(
        "remove what is no longer right",
        &include_str!("remove_others.sql").replace("{table}", table),
        &[
            devices(windows).into(),
            starts(windows).into(),
            ends(windows).into(),
            each(keep, |k| k.device.clone()).into(),
            each(keep, |k| timestamp(start(&k.item))).into(),
        ],
        |row| row.get(1),
    )?);
    Ok(changed)
}

/// Deletes what a longer window of an earlier length holds in `table` and reaches into `windows`;
/// returns the devices it belonged to.
fn remove_overtaken(table: &str, windows: &[DeviceWindow]) -> Result<Vec<String>, Error> {
    rows(
        "remove what windows of another length held",
        &include_str!("remove_overtaken.sql").replace("{table}", table),
        &[devices(windows).into(), starts(windows).into()],
        |row| row.get(1),
    )
}

/// Marks points as taken in by their batches, a table that they lie in at a time. Returns the batches of
/// those that were changed or deleted since they were read.
pub fn mark_points(source: &Source, points: &[(RowId, Uuid)]) -> Result<Vec<Uuid>, Error> {
    let mut parts: HashMap<pg_sys::Oid, Marks> = HashMap::new();
    for ((part, address), batch) in points {
        let marks = parts.entry(*part).or_default();
        marks.addresses.push(*address);
        marks.batches.push(*batch);
    }
    let mut changed = Vec::new();
    for (part, marks) in parts {
        changed.extend(mark_part(source, part, marks)?);
    }
    Ok(changed)
}

/// Rows of one table, and the batch of each.
#[derive(Default)]
struct Marks {
    addresses: Vec<pg_sys::ItemPointerData>,
    batches: Vec<Uuid>,
}

fn mark_part(source: &Source, part: pg_sys::Oid, marks: Marks) -> Result<Vec<Uuid>, Error> {
    let Marks { addresses, batches } = marks;
    let mut counts = source.change(
        part,
        "mark points as processed",
        include_str!("mark_points.sql"),
        &[addresses.clone().into(), batches.into()],
        |row| {
            Ok((
                row.get::<i64>(1)?,
                row.get::<i64>(2)?,
                row.maybe::<Vec<Uuid>>(3)?,
            ))
        },
    )?;
    let (there, marked, changed) = counts.pop().unwrap_or_default();
    if there > marked || changed.is_some() && unmarked(source, part, addresses)? {
        return Err(Error::NotMarked);
    }
    Ok(changed.unwrap_or_default())
}

/// Whether rows that were not marked are there still, as they were read.
fn unmarked(
    source: &Source,
    part: pg_sys::Oid,
    addresses: Vec<pg_sys::ItemPointerData>,
) -> Result<bool, Error> {
    let found = source.change(
        part,
        "look for points that are not marked",
        include_str!("unmarked_points.sql"),
        &[addresses.into()],
        |row| row.get(1),
    )?;
    Ok(found.first() == Some(&true))
}

/// Makes finished windows due again.
pub fn reopen(windows: &[DeviceWindow]) -> Result<(), Error> {
    if windows.is_empty() {
        return Ok(());
    }
    execute(
        "reopen windows that new points reach",
        include_str!("reopen.sql"),
        &[devices(windows).into(), starts(windows).into()],
    )
}

/// Has finished windows settled anew at a moment each.
pub fn unsettle(windows: &[(DeviceWindow, Micros)]) -> Result<(), Error> {
    if windows.is_empty() {
        return Ok(());
    }
    let windows_only = || windows.iter().map(|(window, _)| window);
    execute(
        "have windows settled that new points reach",
        include_str!("unsettle.sql"),
        &[
            devices(windows_only()).into(),
            starts(windows_only()).into(),
            timestamps(windows.iter().map(|(_, at)| *at)).into(),
        ],
    )
}

/// Tells listeners which devices have new paths, once the transaction commits.
pub fn notify(devices: Vec<String>) -> Result<(), Error> {
    execute(
        "notify listeners",
        "SELECT pg_notify('osrm_matcher_paths', device) FROM unnest($1::text[]) AS device",
        &[devices.into()],
    )
}
