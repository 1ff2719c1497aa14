//! How statements of a run are planned.

use pgrx::pg_sys;

use super::set;

/// Keeps plans of a run's statements to index look-ups while it lives: the tables are large, what
/// is asked of them is small, and a fresh table has no statistics yet that would say so.
pub struct IndexPlans(i32);

impl IndexPlans {
    pub fn new() -> Self {
        // SAFETY: the level is undone in drop, or by the end of the transaction after an error.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        for name in [
            c"enable_seqscan",
            c"enable_hashjoin",
            c"enable_mergejoin",
            c"jit",
        ] {
            set(name, c"off");
        }
        Self(level)
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
