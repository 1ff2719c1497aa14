//! How a run ends: its row in the log, and the notes of what was read. Neither takes back what the run has done.

use super::Run;
use crate::backend;
use crate::error::{Error, Failure};
use crate::store::{self, Source};

impl Run {
    /// Puts the run on record, as a further round of `earlier` if there is one; returns its id. With `last`, the row
    /// also says what still waits.
    pub fn record(&mut self, earlier: Option<i64>, last: bool) -> Result<Option<i64>, Error> {
        self.report.rejected += self.sources.iter().map(Source::rejected).sum::<i64>();
        self.report.group_error = self.membership.unsaid();
        self.report.millis = self.begun.elapsed().as_millis() as i32;
        let record = || store::record_run(earlier, &self.report, last);
        match self.checks.attempt(record).map_err(Failure::from) {
            Ok(id) => Ok(id),
            // Whoever has the log as a whole is done with it soon, and the next run wants to know of this one.
            Err(why) if why.is_lock() => record(),
            Err(why) => {
                why.warn(
                    "could not put the run on record, though what it did stays",
                    "Look at the constraints and triggers of worker_runs: until it can be written, status and alerts do not know \
                     of runs.",
                );
                Ok(None)
            }
        }
    }

    /// Stores which paths were read, as far as nothing is against it.
    pub fn store_reads(&self) -> Result<(), Error> {
        backend::unless_locked(store::forget_reads)?;
        let stored = backend::attempt_theirs(|| {
            store::store_reads()?;
            self.checks.make()
        });
        match stored.map_err(Failure::from) {
            Err(why) if !why.is_lock() => why.warn(
                "could not store which paths were read",
                "Look at the constraints, triggers and rules of cached_polylines: until it can be written, last_accessed stays \
                 as it is.",
            ),
            _ => {}
        }
        Ok(())
    }
}
