//! How a statement is run and its result read.
//!
//! All statements of a run take a fresh snapshot: a device that was locked a statement ago must be
//! seen as its last worker left it.

use std::slice;

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::spi::{SpiError, SpiTupleTable};
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
pub struct Columns {
    doing: &'static str,
    types: Vec<pg_sys::Oid>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Columns {
    /// The value of a column that may be null.
    pub fn maybe<T: FromDatum + IntoDatum>(&self, at: usize) -> Result<Option<T>, Error> {
        let at = at - 1;
        if self.nulls[at] {
            return Ok(None);
        }
        // SAFETY: the value is of the row that was taken apart last, which has not been freed, and of this type.
        let value = unsafe { T::try_from_datum(self.values[at], false, self.types[at]) };
        value.map_err(|error| Error::query(self.doing)(SpiError::DatumError(error)))
    }

    /// The value of a column that our own statement never leaves null.
    pub fn get<T: FromDatum + IntoDatum>(&self, at: usize) -> Result<T, Error> {
        self.maybe(at)?.ok_or_else(|| {
            Error::Defect(format!(
                "could not {}: column {at} of the result is null",
                self.doing
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
    value: impl Fn(&Columns) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    run(doing, &qualified(template)?, args, value)
}

/// The same for a query of what can be asked on a standby, too, which has no transaction id to give.
pub fn read_rows<T>(
    doing: &'static str,
    template: &str,
    args: &[DatumWithOid<'_>],
    value: impl Fn(&Columns) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    read(doing, &qualified(template)?, args, value)
}

/// The same with a statement that is whole as it is, and may change something.
pub fn run<T>(
    doing: &'static str,
    sql: &str,
    args: &[DatumWithOid<'_>],
    value: impl Fn(&Columns) -> Result<T, Error>,
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
    value: impl Fn(&Columns) -> Result<T, Error>,
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
    value: impl Fn(&Columns) -> Result<T, Error>,
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

/// Points are read by this, a hundred thousand rows at a time: a row is taken apart at once, and not by a guarded call
/// or two for each of its columns, as [`SpiTupleTable`] does it.
fn values<T>(
    doing: &'static str,
    table: SpiTupleTable<'_>,
    value: impl Fn(&Columns) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    // SAFETY: the statement was run last, so this is what it left, if it returns rows, and it is there as long as
    // `table` is.
    let Some(result) = (unsafe { pg_sys::SPI_tuptable.as_ref() }) else {
        return Ok(Vec::new());
    };
    // SAFETY: so many rows are there, and each is of this description.
    let (rows, description) = unsafe {
        let rows = slice::from_raw_parts(result.vals, table.len());
        (rows, result.tupdesc)
    };
    // SAFETY: as above.
    let types: Vec<pg_sys::Oid> = (1..=unsafe { (*description).natts })
        .map(|at| unsafe { pg_sys::SPI_gettypeid(description, at) })
        .collect();
    let mut columns = Columns {
        doing,
        values: vec![pg_sys::Datum::null(); types.len()],
        nulls: vec![true; types.len()],
        types,
    };
    let mut values = Vec::with_capacity(rows.len());
    for row in rows {
        let (into, nulls) = (columns.values.as_mut_ptr(), columns.nulls.as_mut_ptr());
        // SAFETY: both have room for each column of the description.
        unsafe { pg_sys::heap_deform_tuple(*row, description, into, nulls) };
        values.push(value(&columns)?);
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
