//! Reading points: the bulk of what a run reads.

use pgrx::datum::Uuid;
use pgrx::pg_sys;

use super::source::Source;
use super::statement::{Columns, timestamps};
use crate::backend::{interval, timestamp};
use crate::error::Error;
use crate::track::{Fix, Micros};

/// What a row is marked by: its table and its address there.
pub type RowId = (pg_sys::Oid, pg_sys::ItemPointerData);

/// A point as its source holds it.
pub struct Row {
    pub time: Micros,
    /// `None`: the row holds no usable coordinate.
    pub fix: Option<Fix>,
    pub processed: bool,
    pub id: RowId,
    /// The batch that took an unprocessed point in before it was corrected.
    pub earlier_batch: Option<Uuid>,
}

/// All points of a device in `[from, to)`, in no particular order.
pub fn read_points(
    source: &Source,
    device: &str,
    (from, to): (Micros, Micros),
) -> Result<Vec<Row>, Error> {
    source.search(
        "read points",
        &with_columns(include_str!("read_points.sql")),
        &[device.into(), timestamp(from).into(), timestamp(to).into()],
        |row| point(row, 1),
    )
}

/// Points of a device that are asked for together with those of others.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    pub device: &'a str,
    pub from: Micros,
    pub to: Micros,
}

/// All points of some spans, and of each the `most` points before it that are no older than
/// `reach`; each with the number of its span, in no particular order.
pub fn read_spans(
    source: &Source,
    spans: &[Span<'_>],
    reach: Micros,
    most: usize,
) -> Result<Vec<(usize, Row)>, Error> {
    let earliest = spans.iter().map(|s| s.from).min().unwrap_or_default();
    let latest = spans.iter().map(|s| s.to).max().unwrap_or_default();
    source.search(
        "read points",
        &with_columns(include_str!("read_spans.sql")),
        &[
            spans.iter().map(|s| s.device).collect::<Vec<_>>().into(),
            timestamps(spans.iter().map(|s| s.from)).into(),
            timestamps(spans.iter().map(|s| s.to)).into(),
            interval(reach).into(),
            (most as i64).into(),
            timestamp(earliest.saturating_sub(reach)).into(),
            timestamp(latest).into(),
        ],
        |row| Ok((row.get::<i32>(1)? as usize - 1, point(row, 2)?)),
    )
}

/// Which of some spans hold points, by their place among them.
pub fn spans_with_points(
    source: &Source,
    doing: &'static str,
    spans: &[Span<'_>],
) -> Result<Vec<usize>, Error> {
    let earliest = spans.iter().map(|s| s.from).min().unwrap_or_default();
    let latest = spans.iter().map(|s| s.to).max().unwrap_or_default();
    source.search(
        doing,
        include_str!("spans_with_points.sql"),
        &[
            spans.iter().map(|s| s.device).collect::<Vec<_>>().into(),
            timestamps(spans.iter().map(|s| s.from)).into(),
            timestamps(spans.iter().map(|s| s.to)).into(),
            timestamp(earliest).into(),
            timestamp(latest).into(),
        ],
        |row| Ok(row.get::<i64>(1)? as usize - 1),
    )
}

/// A statement with the columns of a point in their place.
fn with_columns(template: &str) -> String {
    template.replace("{columns}", include_str!("point_columns.sql"))
}

/// The point whose columns begin at `first`.
fn point(row: &Columns, first: usize) -> Result<Row, Error> {
    let time = row.time(first)?;
    let (lon, lat) = (row.maybe(first + 1)?, row.maybe(first + 2)?);
    // What is no accuracy, no course or no speed counts as unknown: devices report 0 or -1 for that.
    let accuracy: Option<f64> = row.maybe(first + 3)?;
    let course: Option<f64> = row.maybe(first + 4)?;
    let speed: Option<f64> = row.maybe(first + 5)?;
    Ok(Row {
        time,
        fix: usable(time, lon, lat).map(|fix| Fix {
            accuracy: accuracy.filter(|m| m.is_finite() && *m > 0.0),
            course: course.filter(|c| (-360.0..=360.0).contains(c)),
            speed: speed.filter(|v| v.is_finite() && *v >= 0.0),
            ..fix
        }),
        processed: row.maybe(first + 6)?.unwrap_or(false),
        id: (row.get(first + 7)?, row.get(first + 8)?),
        earlier_batch: row.maybe(first + 9)?,
    })
}

/// A fix, if the numbers are one.
fn usable(time: Micros, lon: Option<f64>, lat: Option<f64>) -> Option<Fix> {
    let (lon, lat) = (lon?, lat?);
    let usable = (-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat);
    usable.then_some(Fix {
        time,
        lon,
        lat,
        ..Fix::default()
    })
}
