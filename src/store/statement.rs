//! How a statement is run and its result read.
//!
//! All statements of a run take a fresh snapshot: a device that was locked a statement ago must be
//! seen as its last worker left it.

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::{SpiHeapTupleData, SpiTupleTable};
use pgrx::{FromDatum, IntoDatum, Spi, pg_sys};

use super::plans::plan;
use super::schema::qualified;
use crate::backend::{micros, timestamp};
use crate::error::Error;
use crate::track::Micros;

pub fn timestamps(micros: impl IntoIterator<Item = Micros>) -> Vec<TimestampWithTimeZone> {
    micros.into_iter().map(timestamp).collect()
}

/// A row of a result, read by position from 1.
pub struct Columns<'a, 'conn>(&'a SpiHeapTupleData<'conn>, &'static str);

impl Columns<'_, '_> {
    /// The value of a column that may be null.
    pub fn maybe<T: FromDatum + IntoDatum>(&self, at: usize) -> Result<Option<T>, Error> {
        self.0.get::<T>(at).map_err(Error::query(self.1))
    }

    /// The value of a column that our own statement never leaves null.
    pub fn get<T: FromDatum + IntoDatum>(&self, at: usize) -> Result<T, Error> {
        self.maybe(at)?.ok_or_else(|| {
            Error::Defect(format!(
                "could not {}: column {at} of the result is null",
                self.1
            ))
        })
    }

    pub fn maybe_time(&self, at: usize) -> Result<Option<Micros>, Error> {
        Ok(self.maybe::<TimestampWithTimeZone>(at)?.map(micros))
    }

    pub fn time(&self, at: usize) -> Result<Micros, Error> {
        self.get::<TimestampWithTimeZone>(at).map(micros)
    }
}

/// Runs a statement over our own tables, which it names as `@extschema@.stops`, with a fresh
/// snapshot, and turns each of its rows into a value.
pub fn rows<T>(
    doing: &'static str,
    template: &str,
    args: &[DatumWithOid<'_>],
    value: impl Fn(&Columns<'_, '_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    run(doing, &qualified(template)?, args, value)
}

/// The same for a query of what can be asked on a standby, too, which has no transaction id to give.
pub fn read_rows<T>(
    doing: &'static str,
    template: &str,
    args: &[DatumWithOid<'_>],
    value: impl Fn(&Columns<'_, '_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    read(doing, &qualified(template)?, args, value)
}

/// The same with a statement that is whole as it is, and may change something.
pub fn run<T>(
    doing: &'static str,
    sql: &str,
    args: &[DatumWithOid<'_>],
    value: impl Fn(&Columns<'_, '_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    Spi::connect_mut(|client| {
        let plan = plan(client, sql, args, true).map_err(Error::query(doing))?;
        let table = match plan {
            Some(plan) => client.update(plan, None, args),
            None => client.update(sql, None, args),
        };
        values(doing, table.map_err(Error::query(doing))?, value)
    })
}

/// The same for a query, and without a transaction id: where each has a subtransaction of its own,
/// those would be many.
pub fn read<T>(
    doing: &'static str,
    sql: &str,
    args: &[DatumWithOid<'_>],
    value: impl Fn(&Columns<'_, '_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    // SAFETY: pushed and popped in pairs; after an error, by the end of the subtransaction.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
    let result = read_as_seen(doing, sql, args, value);
    // SAFETY: as above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

/// The same with the snapshot of the statement that called us.
pub fn read_as_seen<T>(
    doing: &'static str,
    sql: &str,
    args: &[DatumWithOid<'_>],
    value: impl Fn(&Columns<'_, '_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    Spi::connect(|client| {
        let plan = plan(client, sql, args, false).map_err(Error::query(doing))?;
        let table = match plan {
            Some(plan) => client.select(plan, None, args),
            None => client.select(sql, None, args),
        };
        values(doing, table.map_err(Error::query(doing))?, value)
    })
}

/// Runs a statement that takes no arguments and is rarely the same twice.
pub fn command(doing: &'static str, sql: &str) -> Result<(), Error> {
    Spi::connect_mut(|client| {
        let done = client.update(sql, None, &[]);
        done.map(drop).map_err(Error::query(doing))
    })
}

fn values<T>(
    doing: &'static str,
    table: SpiTupleTable<'_>,
    value: impl Fn(&Columns<'_, '_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut values = Vec::with_capacity(table.len());
    for row in table {
        values.push(value(&Columns(&row, doing))?);
    }
    Ok(values)
}

/// Runs a statement over our own tables for its effect.
pub fn execute(
    doing: &'static str,
    template: &str,
    args: &[DatumWithOid<'_>],
) -> Result<(), Error> {
    rows(doing, template, args, |_| Ok(())).map(drop)
}
