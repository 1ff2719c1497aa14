//! The only module that speaks SQL, and it speaks nothing else. Functions are named by what they are for; each is one
//! statement, kept as a file beside this one where it is longer than a line or two.
//!
//! All statements of a run go through [`rows`], which takes a fresh snapshot: a device that was
//! locked a statement ago must be seen as its last worker left it.

mod claims;
mod points;
mod results;
mod runs;
mod source;

pub use claims::{
    DeviceWindow, Known, due_devices, due_windows, hand_back, held_windows, known_batches,
    lock_devices, make_pending, neighbours, reclaim, recut_windows, take_pending, waiting_devices,
    waiting_windows,
};
pub use points::{RowId, read_points};
pub use results::{
    BatchRow, Status, Written, forget_batches, mark_points, notify, reopen, write_batches,
    write_paths, write_stops,
};
pub use runs::{
    Delay, RunRow, advance_jobs, pause_asked_for, record_run, reject_unreachable, store_reads,
};
pub use source::{Source, sources};

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::SpiHeapTupleData;
use pgrx::{FromDatum, IntoDatum, Spi};

use crate::backend::{micros, timestamp};
use crate::error::Error;
use crate::track::Micros;

fn timestamps(micros: impl IntoIterator<Item = Micros>) -> Vec<TimestampWithTimeZone> {
    micros.into_iter().map(timestamp).collect()
}

/// A row of a result, read by position from 1.
struct Columns<'a, 'conn>(&'a SpiHeapTupleData<'conn>, &'static str);

impl Columns<'_, '_> {
    /// The value of a column that may be null.
    fn maybe<T: FromDatum + IntoDatum>(&self, at: usize) -> Result<Option<T>, Error> {
        self.0.get::<T>(at).map_err(Error::query(self.1))
    }

    /// The value of a column that our own statement never leaves null.
    fn get<T: FromDatum + IntoDatum>(&self, at: usize) -> Result<T, Error> {
        self.maybe(at)?.ok_or_else(|| {
            Error::Defect(format!(
                "could not {}: column {at} of the result is null",
                self.1
            ))
        })
    }

    fn time(&self, at: usize) -> Result<Micros, Error> {
        self.get::<TimestampWithTimeZone>(at).map(micros)
    }
}

/// Runs a statement with a fresh snapshot and turns each of its rows into a value.
fn rows<T>(
    doing: &'static str,
    sql: &str,
    args: &[DatumWithOid<'_>],
    read: impl Fn(&Columns<'_, '_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    Spi::connect_mut(|client| {
        let table = client
            .update(sql, None, args)
            .map_err(Error::query(doing))?;
        let mut values = Vec::with_capacity(table.len());
        for row in table {
            values.push(read(&Columns(&row, doing))?);
        }
        Ok(values)
    })
}

/// Runs a statement for its effect.
fn execute(doing: &'static str, sql: &str, args: &[DatumWithOid<'_>]) -> Result<(), Error> {
    rows(doing, sql, args, |_| Ok(())).map(drop)
}
