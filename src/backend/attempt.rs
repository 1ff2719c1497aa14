//! A part of a run that may fail without taking the run with it.

use std::ffi::{CStr, CString};
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::{PgSqlErrorCode as Code, PgTryBuilder, pg_sys};

use super::set;
use crate::error::{Error, Failure};

/// A lock that somebody holds for longer than this is not waited for.
const LOCK_WAIT: &CStr = c"20ms";

/// With whose rights a part is done, and how it understands names.
#[derive(Debug, Clone)]
pub struct Actor {
    pub user: pg_sys::Oid,
    pub search_path: CString,
    /// Off: what a policy would hide is an error.
    pub row_security: bool,
}

impl Actor {
    /// Whoever the session works for, however many functions with other rights lie between.
    pub fn for_reader(self) -> Self {
        Self {
            // SAFETY: a plain read of the backend's state.
            user: unsafe { pg_sys::GetOuterUserId() },
            row_security: true,
            ..self
        }
    }
}

/// Does a part in a subtransaction, which is rolled back if it fails. Locks are waited for but a
/// moment.
pub fn attempt<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    in_subtransaction(ends_all, work)
}

/// A part that can as well be done another time; nothing where somebody holds what it has to write.
pub fn unless_locked<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<Option<T>, Error> {
    match attempt(work) {
        Err(Error::Failed(failure)) if failure.is_lock() => Ok(None),
        result => result.map(Some),
    }
}

/// A part in which somebody else's code runs, be it with our rights: what that raises is not taken for what ends all.
pub fn attempt_theirs<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    in_subtransaction(is_of_the_backend, work)
}

/// A part with somebody else's rights, and none beyond them: as REINDEX runs what belongs to a
/// table, so that no trigger and no expression of it gets hold of ours.
pub fn attempt_as<T>(actor: &Actor, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    in_subtransaction(is_of_the_backend, || {
        set(c"search_path", &actor.search_path);
        set(
            c"row_security",
            if actor.row_security { c"on" } else { c"off" },
        );
        let (mut user, mut context) = (pg_sys::Oid::INVALID, 0);
        // SAFETY: both pointers are to locals. After an error, the end of the subtransaction
        // restores what was before.
        unsafe { pg_sys::GetUserIdAndSecContext(&mut user, &mut context) };
        let restricted =
            (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as i32;
        // SAFETY: plain assignments of the backend's state.
        unsafe { pg_sys::SetUserIdAndSecContext(actor.user, context | restricted) };
        let result = work();
        // SAFETY: as above.
        unsafe { pg_sys::SetUserIdAndSecContext(user, context) };
        result
    })
}

/// What `ends` is true of goes through.
fn in_subtransaction<T>(
    ends: fn(&ErrorReportWithLevel) -> bool,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    // As PL/pgSQL does it for a block with EXCEPTION: memory and resources are the caller's before
    // and after. `work` ends with all that it opened in SPI.
    // SAFETY: main thread, in a transaction; every way out below ends the subtransaction.
    let (memory, owner) = unsafe { (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) };
    unsafe {
        pg_sys::BeginInternalSubTransaction(ptr::null());
        pg_sys::MemoryContextSwitchTo(memory);
    }
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| {
        set(c"lock_timeout", LOCK_WAIT);
        Ok(work())
    }))
    .catch_others(|caught| Err(Box::new(caught)))
    .catch_rust_panic(|caught| Err(Box::new(caught)))
    .execute();
    // SAFETY: the subtransaction is the one that was begun above.
    unsafe {
        if matches!(outcome, Ok(Ok(_))) {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(memory);
        pg_sys::CurrentResourceOwner = owner;
    }
    outcome.unwrap_or_else(|caught| Err(Error::Failed(failure(*caught, ends))))
}

/// What was caught, unless it ends the run: then it goes on its way.
fn failure(caught: CaughtError, ends: fn(&ErrorReportWithLevel) -> bool) -> Failure {
    if let CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) = &caught
        && !ends(report)
    {
        return Failure {
            code: report.sql_error_code(),
            message: report.message().to_string(),
        };
    }
    caught.rethrow()
}

/// Whether it is the server or the caller that ends things, not the part: a cancel, a full disk,
/// a snapshot that is too old.
fn ends_all(report: &ErrorReportWithLevel) -> bool {
    let code = report.sql_error_code();
    code != Code::ERRCODE_T_R_DEADLOCK_DETECTED && is_of(code, &[b"40", b"53", b"57", b"58"])
}

/// The same of what is somebody else's. A trigger of a table raises what codes it likes, and what lies in a
/// tablespace of its own can be full or lost alone. So it must be an interrupt that this backend has served, or
/// a snapshot of the caller's that is too old; a disk that is full for all shows where we write ourselves.
fn is_of_the_backend(report: &ErrorReportWithLevel) -> bool {
    let code = report.sql_error_code();
    // Where PostgreSQL serves interrupts, be it a cancel, a time-out or a conflict on a standby.
    let interrupt = report.file() == "postgres.c" && is_of(code, &[b"40", b"57"]);
    // SAFETY: a plain read of the backend's state.
    let one_snapshot = unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 };
    interrupt || one_snapshot && code == Code::ERRCODE_T_R_SERIALIZATION_FAILURE
}

/// Whether a code is of one of these classes.
fn is_of(code: Code, classes: &[&[u8]]) -> bool {
    // SAFETY: the text lies in a static buffer of five characters.
    let state = unsafe { CStr::from_ptr(pg_sys::unpack_sql_state(code as i32)) }.to_bytes();
    classes.iter().any(|class| state.starts_with(class))
}
