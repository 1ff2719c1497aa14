//! What a run does about adopted tables before it begins.

use pgrx::pg_sys;

use super::claims::{DeviceWindow, device_window, devices};
use super::results::reopen;
use super::source::Source;
use super::statement::{execute, rows, timestamps};
use crate::backend;
use crate::error::Error;
use crate::track::Micros;

/// Takes a source that was set aside into use again, if it works: what was matched meanwhile is
/// matched again where it holds points.
pub fn take_back(source: &Source) -> Result<(), Error> {
    if !source.is_back() {
        return Ok(());
    }
    let missed = missed_windows(source)?;
    let reached = source.ask(
        "look for points that were missed",
        include_str!("windows_with_points.sql"),
        &[
            devices(missed.iter().map(|m| &m.0)).into(),
            timestamps(missed.iter().map(|m| m.1)).into(),
            timestamps(missed.iter().map(|m| m.2)).into(),
        ],
        |row| row.get::<i64>(1),
    )?;
    if source.is_aside() {
        return Ok(());
    }
    let windows = reached
        .into_iter()
        .map(|nth| missed[nth as usize - 1].0.clone());
    let windows: Vec<DeviceWindow> = windows.collect();
    backend::unless_locked(|| {
        reopen(&windows)?;
        execute(
            "take a source back",
            "UPDATE @extschema@.adopted_sources SET set_aside_at = NULL, set_aside_until = NULL, reason = NULL \
              WHERE relation = $1",
            &[source.relation().into()],
        )
    })?;
    Ok(())
}

/// Windows that were matched while a source was set aside, with the span that decided each.
fn missed_windows(source: &Source) -> Result<Vec<(DeviceWindow, Micros, Micros)>, Error> {
    rows(
        "look for windows that miss a source",
        include_str!("missed_windows.sql"),
        &[source.relation().into()],
        |row| Ok((device_window(row, 1)?, row.time(4)?, row.time(5)?)),
    )
}

/// Sets rows of adopted tables aside that no window can hold: without device, without a time.
pub fn reject_unreachable(source: &Source) -> Result<i64, Error> {
    if !source.is_adopted() || source.is_aside() {
        return Ok(0);
    }
    let parts = source.ask(
        "look for unusable rows",
        include_str!("unusable_parts.sql"),
        &[],
        |row| row.get::<pg_sys::Oid>(1),
    )?;
    let rejected = parts.into_iter().map(|part| {
        let counts = source.change(
            part,
            "set unusable rows aside",
            include_str!("reject_unreachable.sql"),
            &[],
            |row| row.get::<i64>(1),
        );
        // A table that refuses this may serve for all else; if not, that shows where it is read.
        counts.map_or(0, |counts| counts.first().copied().unwrap_or_default())
    });
    Ok(rejected.sum())
}

/// Takes adopted tables into use that have their indexes by now.
pub fn use_ready_sources() -> Result<(), Error> {
    execute(
        "look for sources that are ready",
        "SELECT @extschema@._use_ready_sources()",
        &[],
    )
}
