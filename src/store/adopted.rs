//! What a run does about adopted tables before it begins.

use pgrx::datum::Uuid;
use pgrx::pg_sys;

use super::claims::{DeviceWindow, device_window};
use super::points::{Span, spans_with_points};
use super::results::reopen;
use super::source::Source;
use super::statement::{Columns, execute, rows};
use crate::backend::{self, timestamp};
use crate::error::Error;
use crate::track::Micros;

/// Windows that are looked at in one go, however many were matched meanwhile.
const PORTION: usize = 10_000;

/// Takes a source that was set aside into use again, if it works: what was matched meanwhile is
/// matched again where it holds points.
pub fn take_back(source: &Source) -> Result<(), Error> {
    if !source.is_back() {
        return Ok(());
    }
    // The longer it is away, the more was missed, and the dearer is the question what of it.
    let question = include_str!("try_source.sql");
    source.ask("try a source again", question, &[], |_| Ok(()))?;
    let mut looked_at = None;
    while !source.is_aside() {
        let (missed, reached) = backend::in_own_memory(|| -> Result<_, Error> {
            let missed = missed_windows(source, looked_at)?;
            let reached = reached(source, &missed)?;
            Ok((missed, reached))
        })?;
        if source.is_aside() || backend::unless_locked(|| reopen(&reached))?.is_none() {
            return Ok(());
        }
        if missed.len() < PORTION {
            return take_into_use(source);
        }
        looked_at = missed.last().map(|missed| missed.key);
    }
    Ok(())
}

fn take_into_use(source: &Source) -> Result<(), Error> {
    backend::unless_locked(|| {
        execute(
            "take a source back",
            "UPDATE @extschema@.adopted_sources SET set_aside_at = NULL, set_aside_until = NULL, reason = NULL \
              WHERE relation = $1",
            &[source.relation().into()],
        )
    })?;
    Ok(())
}

/// A window that was matched while a source was set aside.
struct Missed {
    window: DeviceWindow,
    /// What decided it.
    context: (Micros, Micros),
    /// Its place among the others.
    key: (Micros, Uuid),
}

/// The next of those windows.
fn missed_windows(source: &Source, after: Option<(Micros, Uuid)>) -> Result<Vec<Missed>, Error> {
    rows(
        "look for windows that miss a source",
        include_str!("missed_windows.sql"),
        &[
            source.relation().into(),
            after.map(|(at, _)| timestamp(at)).into(),
            after.map(|(_, batch)| batch).into(),
            (PORTION as i64).into(),
        ],
        |row| {
            Ok(Missed {
                window: device_window(row, 1)?,
                context: (row.time(4)?, row.time(5)?),
                key: (row.time(6)?, row.get(7)?),
            })
        },
    )
}

/// Those of which the source holds points.
fn reached(source: &Source, missed: &[Missed]) -> Result<Vec<DeviceWindow>, Error> {
    let spans: Vec<Span> = (missed.iter())
        .map(|m| Span {
            device: &m.window.device,
            from: m.context.0,
            to: m.context.1,
        })
        .collect();
    let reached = spans_with_points(source, "look for points that were missed", &spans)?;
    Ok((reached.into_iter())
        .map(|nth| missed[nth].window.clone())
        .collect())
}

/// Sets rows of adopted tables aside that no window can hold: without a time, or without a device. Where rows lie in
/// partitions, the latter only from a time on, or from where a backfill begins: to look for them in all would take longer
/// than most runs.
pub fn reject_unusable(sources: &[Source], since: Micros) -> Result<(), Error> {
    let adopted = |source: &&Source| source.is_adopted() && !source.is_aside();
    let sources: Vec<&Source> = sources.iter().filter(adopted).collect();
    let since = match sources.iter().any(|source| source.is_divided()) {
        true => first_backfill()?.map_or(since, |begin| since.min(begin)),
        false => since,
    };
    for source in sources {
        let since = if source.is_divided() {
            since
        } else {
            Micros::MIN
        };
        let parts = source.search(
            "look for unusable rows",
            include_str!("unusable_parts.sql"),
            &[timestamp(since).into()],
            part,
        )?;
        reject(source, parts, Vec::new())?;
    }
    Ok(())
}

/// Where the earliest range begins that a backfill is at work on.
fn first_backfill() -> Result<Option<Micros>, Error> {
    let begins = rows(
        "look for backfills",
        "SELECT min(j.from_time) FROM @extschema@.matching_jobs j
          WHERE j.status IN ('active', 'finishing') AND j.kind = 'backfill'",
        &[],
        |row| row.maybe_time(1),
    )?;
    Ok(begins.into_iter().next().flatten())
}

/// Sets all rows of these devices aside; the table of our own refuses them when they are inserted.
pub fn reject_devices(source: &Source, devices: Vec<String>) -> Result<(), Error> {
    if !source.is_adopted() {
        return Ok(());
    }
    let parts = source.ask(
        "look for rows of unusable devices",
        include_str!("parts_of_devices.sql"),
        &[devices.clone().into()],
        part,
    )?;
    reject(source, parts, devices)
}

fn part(row: &Columns) -> Result<pg_sys::Oid, Error> {
    row.get(1)
}

fn reject(source: &Source, parts: Vec<pg_sys::Oid>, devices: Vec<String>) -> Result<(), Error> {
    for part in parts {
        let counts = source.change(
            part,
            "set unusable rows aside",
            include_str!("reject_unusable.sql"),
            &[devices.clone().into()],
            |row| row.get::<i64>(1),
        );
        // A table that refuses this may serve for all else; if not, that shows where it is read.
        source.count_rejected(counts.map_or(0, |counts| counts.iter().sum()));
    }
    Ok(())
}

/// Whether the table of our own can be read: an error that says what to do, if not.
pub fn require_points() -> Result<(), Error> {
    execute(
        "look at the table of points",
        "SELECT @extschema@._require_points()",
        &[],
    )
}

/// Takes adopted tables into use that have their indexes by now.
pub fn use_ready_sources() -> Result<(), Error> {
    execute(
        "look for sources that are ready",
        "SELECT @extschema@._use_ready_sources()",
        &[],
    )
}
