//! Options that hold for a part of a run.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::set;

/// Options that were set and go back to what they were once this is dropped.
pub struct Options(i32);

impl Options {
    fn new(options: &[(&CStr, &CStr)]) -> Self {
        // SAFETY: the level is undone in drop, or by the end of the (sub)transaction after an error.
        let level = unsafe { pg_sys::NewGUCNestLevel() };
        for (name, value) in options {
            set(name, value);
        }
        Self(level)
    }

    /// Keeps plans to index look-ups, and makes them once: the tables are large, what is asked of them
    /// is small, and a fresh table has no statistics yet that would say so.
    pub fn index_plans() -> Self {
        Self::new(&[
            (c"enable_seqscan", c"off"),
            (c"enable_hashjoin", c"off"),
            (c"enable_mergejoin", c"off"),
            (c"jit", c"off"),
            (c"plan_cache_mode", c"force_generic_plan"),
        ])
    }

    /// Has a statement planned anew with its values, each time: they tell all but a few of hundreds of
    /// partitions apart before those are looked at. A plan for any values looks at all of them when it is made.
    pub fn plans_of_values() -> Self {
        Self::new(&[(c"plan_cache_mode", c"force_custom_plan")])
    }

    pub fn search_path(path: &CStr) -> Self {
        Self::new(&[(c"search_path", path)])
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // While an error unwinds, the transaction's end undoes the level.
        if !std::thread::panicking() {
            // SAFETY: the level is the one that `new` opened, and no level above it is left.
            unsafe { pg_sys::AtEOXact_GUC(true, self.0) }
        }
    }
}
