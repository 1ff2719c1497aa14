//! Reading points: the bulk of what a run reads, so it goes straight to the columns.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::{Spi, pg_sys};

use super::{POSTGRES_EPOCH, Source, timestamp};
use crate::error::Error;
use crate::track::{Fix, Micros};

/// A point as its source holds it.
#[derive(Debug)]
pub struct Row {
    pub time: Micros,
    /// `None`: the row holds no usable coordinate.
    pub fix: Option<Fix>,
    /// The row's id, for marking; only where it is unprocessed or all ids were asked for.
    pub id: Option<String>,
    /// Whether the row is new to us.
    pub unprocessed: bool,
}

/// Reads all points of a device in `[from, to)`, in no particular order, and hands each to `each`.
pub fn read_points(
    source: &Source,
    device: &str,
    (from, to): (Micros, Micros),
    all_ids: bool,
    mut each: impl FnMut(Row),
) -> Result<(), Error> {
    let doing = "read points";
    let failed = Error::query(doing);
    Spi::connect_mut(|client| {
        let args = [
            device.into(),
            timestamp(from).into(),
            timestamp(to).into(),
            all_ids.into(),
        ];
        let sql = source.statement(include_str!("read_points.sql"));
        let table = client.update(sql.as_str(), None, &args).map_err(&failed)?;
        for row in table {
            let time = row
                .get::<TimestampWithTimeZone>(1)
                .map_err(&failed)?
                .map(|t| pg_sys::TimestampTz::from(t).saturating_add(POSTGRES_EPOCH));
            let Some(time) = time else { continue };
            let number = |at| row.get::<f64>(at).map_err(&failed);
            let fix = usable(time, number(2)?, number(3)?, number(4)?);
            let id = row.get::<String>(5).map_err(&failed)?;
            let unprocessed = row.get::<bool>(6).map_err(&failed)?.unwrap_or(false);
            each(Row {
                time,
                fix,
                id,
                unprocessed,
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
