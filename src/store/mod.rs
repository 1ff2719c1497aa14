//! The only module that speaks SQL. Functions are named by what they are for; each is one
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
pub use points::{Place, read_points};
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
use pgrx::{FromDatum, IntoDatum, PgMemoryContexts, Spi, pg_sys};

use crate::error::Error;
use crate::track::Micros;

/// Microseconds from the Unix epoch to Postgres's own, 2000-01-01.
const POSTGRES_EPOCH: Micros = 946_684_800_000_000;

/// A moment for SQL. Times outside of what Postgres can hold become its infinities.
fn timestamp(micros: Micros) -> TimestampWithTimeZone {
    TimestampWithTimeZone::try_from(micros.saturating_sub(POSTGRES_EPOCH)).unwrap_or_else(|_| {
        if micros > 0 {
            TimestampWithTimeZone::positive_infinity()
        } else {
            TimestampWithTimeZone::negative_infinity()
        }
    })
}

fn timestamps(micros: impl IntoIterator<Item = Micros>) -> Vec<TimestampWithTimeZone> {
    micros.into_iter().map(timestamp).collect()
}

fn micros(timestamp: TimestampWithTimeZone) -> Micros {
    pg_sys::TimestampTz::from(timestamp).saturating_add(POSTGRES_EPOCH)
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

/// Refuses a transaction that may not write, before anything is asked of OSRM.
pub fn require_writable() -> Result<(), Error> {
    // SAFETY: plain reads of the backend's state.
    let (standby, read_only) = unsafe { (pg_sys::RecoveryInProgress(), pg_sys::XactReadOnly) };
    if standby || read_only {
        Err(Error::ReadOnly { standby })
    } else {
        Ok(())
    }
}

/// Does a part of a run and gives back what Postgres allocated for it: the arguments of statements
/// would otherwise stay until the call ends, and a call may be long.
pub fn in_own_memory<T>(part: impl FnOnce() -> T) -> T {
    // SAFETY: nothing of the part's own memory is in its result, all of which Rust allocates.
    unsafe { PgMemoryContexts::new("osrm_matcher round").switch_to(|_| part()) }
}

/// The present moment, by the clock rather than by the transaction's begin.
pub fn now() -> Micros {
    // SAFETY: no arguments, no failure.
    unsafe { pg_sys::GetCurrentTimestamp() }.saturating_add(POSTGRES_EPOCH)
}

/// Keeps plans of a run's statements to index look-ups while it lives: the tables are large, what
/// is asked of them is small, and a fresh table has no statistics yet that would say so.
pub struct IndexPlans(i32);

impl IndexPlans {
    pub fn new() -> Self {
        // SAFETY: names and values are valid C strings; the level is undone in drop, or by the
        // end of the transaction after an error.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            for name in [
                c"enable_seqscan",
                c"enable_hashjoin",
                c"enable_mergejoin",
                c"jit",
            ] {
                pg_sys::set_config_option(
                    name.as_ptr(),
                    c"off".as_ptr(),
                    pg_sys::GucContext::PGC_USERSET,
                    pg_sys::GucSource::PGC_S_SESSION,
                    pg_sys::GucAction::GUC_ACTION_SAVE,
                    true,
                    0,
                    false,
                );
            }
            Self(level)
        }
    }
}

impl Drop for IndexPlans {
    fn drop(&mut self) {
        // While an error unwinds, the transaction's end undoes the level.
        if !std::thread::panicking() {
            // SAFETY: the level is the one that `new` opened, and no level above it is left.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) }
        }
    }
}
