//! The backend that a call runs in: what it asks of Postgres otherwise than by SQL. Main thread only.

pub mod aggregate;
mod attempt;
mod clock;
mod commit;
pub mod interrupts;
mod options;
mod relation;

use std::ffi::CStr;
use std::time::Duration;

use pgrx::{PgMemoryContexts, pg_sys};

pub use attempt::{Actor, attempt, attempt_as, attempt_theirs, unless_locked};
pub use clock::{
    interval, micros, now, system_time, system_timestamp, timestamp, transaction_begin,
};
pub use commit::{has_noted, has_written_but_notes};
pub use options::Options;
pub use relation::{has_put_off, relation};

use crate::error::Error;

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

/// Whether the procedure that calls may commit.
pub fn may_commit() -> bool {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::SPI_inside_nonatomic_context() }
}

/// Does a part of a run and gives back what Postgres allocated for it: the arguments of statements
/// would otherwise stay until the call ends, and a call may be long.
pub fn in_own_memory<T>(part: impl FnOnce() -> T) -> T {
    // SAFETY: nothing of the part's own memory is in its result, all of which Rust allocates.
    unsafe { PgMemoryContexts::new("osrm_matcher round").switch_to(|_| part()) }
}

/// After what time Postgres ends the statement or the transaction, if it does (`statement_timeout`,
/// `transaction_timeout`).
pub fn time_limit() -> Option<Duration> {
    // SAFETY: plain reads of the backend's state.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    let limits = unsafe { [pg_sys::StatementTimeout, pg_sys::TransactionTimeout] };
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    let limits = unsafe { [pg_sys::StatementTimeout] };
    let set = limits
        .into_iter()
        .filter_map(|millis| u64::try_from(millis).ok());
    set.filter(|millis| *millis > 0)
        .min()
        .map(Duration::from_millis)
}

/// Sets an option until the level of options that was opened last, or the subtransaction, ends.
fn set(name: &CStr, value: &CStr) {
    set_for(name, value, pg_sys::GucAction::GUC_ACTION_SAVE);
}

/// Sets an option until the transaction ends, as SET LOCAL does.
fn set_locally(name: &CStr, value: &CStr) {
    set_for(name, value, pg_sys::GucAction::GUC_ACTION_LOCAL);
}

fn set_for(name: &CStr, value: &CStr, action: pg_sys::GucAction::Type) {
    // SAFETY: both are valid C strings, and copied.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}

/// Pages of tables and indexes that this session has looked at so far.
pub fn pages() -> i64 {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::pgBufferUsage.shared_blks_hit + pg_sys::pgBufferUsage.shared_blks_read }
}
