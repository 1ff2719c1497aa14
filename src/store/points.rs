//! Reading points: the bulk of what a run reads.

use pgrx::datum::Uuid;
use pgrx::pg_sys;

use super::source::Source;
use crate::backend::timestamp;
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
    source.ask(
        "read points",
        include_str!("read_points.sql"),
        &[device.into(), timestamp(from).into(), timestamp(to).into()],
        |row| {
            let time = row.time(1)?;
            Ok(Row {
                time,
                fix: usable(time, row.maybe(2)?, row.maybe(3)?, row.maybe(4)?),
                processed: row.maybe(5)?.unwrap_or(false),
                id: (row.get(6)?, row.get(7)?),
                earlier_batch: row.maybe(8)?,
            })
        },
    )
}

/// A fix, if the numbers are one. An accuracy that is none counts as unknown: devices report 0 or
/// -1 for that.
fn usable(time: Micros, lon: Option<f64>, lat: Option<f64>, accuracy: Option<f64>) -> Option<Fix> {
    let (lon, lat) = (lon?, lat?);
    if !((-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat)) {
        return None;
    }
    Some(Fix {
        time,
        lon,
        lat,
        accuracy: accuracy.filter(|m| m.is_finite() && *m > 0.0),
    })
}
