//! Reading points: the bulk of what a run reads, so it goes straight to the columns.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::{Spi, pg_sys};

use super::source::Source;
use crate::backend::{micros, timestamp};
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
}

/// Reads all points of a device in `[from, to)`, in no particular order, and hands each to `each`.
pub fn read_points(
    source: &Source,
    device: &str,
    (from, to): (Micros, Micros),
    mut each: impl FnMut(Row),
) -> Result<(), Error> {
    let failed = Error::query("read points");
    Spi::connect_mut(|client| {
        let args = [device.into(), timestamp(from).into(), timestamp(to).into()];
        let sql = source.statement(include_str!("read_points.sql"));
        let table = client.update(sql.as_str(), None, &args).map_err(&failed)?;
        for row in table {
            let number = |at| row.get::<f64>(at).map_err(&failed);
            let time = row.get::<TimestampWithTimeZone>(1).map_err(&failed)?;
            let part = row.get::<pg_sys::Oid>(6).map_err(&failed)?;
            let address = row.get::<pg_sys::ItemPointerData>(7).map_err(&failed)?;
            // The statement's own conditions leave none of these null.
            let (Some(time), Some(part), Some(address)) = (time.map(micros), part, address) else {
                continue;
            };
            each(Row {
                time,
                fix: usable(time, number(2)?, number(3)?, number(4)?),
                processed: row.get::<bool>(5).map_err(&failed)?.unwrap_or(false),
                id: (part, address),
            });
        }
        Ok(())
    })
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
