//! How a transaction ends that has written nothing but notes.
//!
//! A reader that leaves a note has a transaction id, though what it wrote is in an unlogged table. If it also
//! cleans a page that it reads, which PostgreSQL does on its way and logs, its commit would wait for the disk, and for a
//! synchronous standby, which may be away. There is nothing to wait for: such a commit is asynchronous.

use std::cell::Cell;

use pgrx::{PgXactCallbackEvent, pg_sys, register_xact_callback};

thread_local! {
    /// The transaction that has written nothing but notes, and the command that it was at after the last.
    static NOTED: Cell<(u64, pg_sys::CommandId)> = const { Cell::new((0, 0)) };
}

/// Whether the transaction has written nothing so far but notes.
pub fn has_written_but_notes() -> bool {
    match transaction() {
        0 => command() == 0,
        noted => NOTED.get() == (noted, command()),
    }
}

/// Says that what was written last is a note, as was all before it.
pub fn has_noted() {
    let transaction = transaction();
    let is_first = NOTED.replace((transaction, command())).0 != transaction;
    if is_first {
        register_xact_callback(PgXactCallbackEvent::PreCommit, || {
            if has_written_but_notes() {
                super::set_locally(c"synchronous_commit", c"off");
            }
        });
    }
}

/// The transaction's id; 0 if it has none.
fn transaction() -> u64 {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::GetTopFullTransactionIdIfAny().value }
}

/// The number of the next command: it grows with each that writes, and with one that is about to.
fn command() -> pg_sys::CommandId {
    // SAFETY: main thread, in a transaction, not in parallel: what SPI does before each statement.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::GetCurrentCommandId(false)
    }
}
