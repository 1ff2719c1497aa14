//! The backend's interrupt flags, and nothing else.

use pgrx::pg_sys;

/// Whether a cancel (Ctrl-C, `statement_timeout`, `pg_cancel_backend`) or a termination waits to
/// be served. Whoever sees it stops its threads first and calls [`serve`] then: a termination
/// does not unwind through Rust's destructors.
pub fn ending() -> bool {
    // SAFETY: flags of type sig_atomic_t that signal handlers set; read on the main thread only.
    unsafe { pg_sys::QueryCancelPending != 0 || pg_sys::ProcDiePending != 0 }
}

/// Serves what is pending; does not return if that ends the statement.
pub fn serve() {
    pgrx::check_for_interrupts!();
}
