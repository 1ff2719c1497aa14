//! How statements of a run are planned.

use pgrx::pg_sys;

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
