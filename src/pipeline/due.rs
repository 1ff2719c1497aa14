//! From when on a run looks for what is on record as due.
//!
//! A window that is done stays in the index by which it was found, as long as somebody has an old snapshot open. So a run
//! looks through all of that once, and then from the oldest that it found on.

use crate::backend;
use crate::error::Error;
use crate::store::{self, DueDevice};
use crate::track::Micros;

/// What others are about to put on record as due may be as much older than what a search has seen.
const IN_THE_MAKING: Micros = 10 * 60_000_000;
/// Pages that a window takes which is found: in the index and in the table.
const PAGES_A_WINDOW: i64 = 2;

#[derive(Debug)]
pub struct Due {
    /// Nothing was due before: of jobs, and of all else.
    of_jobs: Micros,
    of_others: Micros,
    /// Pages that a look passed over in vain, at most.
    in_vain: i64,
}

/// Devices of which windows are due, and between which moments they became so.
pub struct Look {
    pub devices: Vec<DueDevice>,
    pub span: (Micros, Micros),
}

impl Due {
    /// All that is due, or but what became so since a search for all, and shortly before.
    pub fn new(last_search: Option<Micros>) -> Self {
        let since = last_search.map_or(Micros::MIN, |at| at - IN_THE_MAKING);
        Self {
            of_jobs: since,
            of_others: since,
            in_vain: 0,
        }
    }

    pub fn pages_in_vain(&self) -> i64 {
        self.in_vain
    }

    /// Up to `most` devices that have windows which are due, those of jobs or all others, but for some.
    pub fn look(
        &mut self,
        of_jobs: bool,
        most: usize,
        but: impl Iterator<Item = String>,
    ) -> Result<Look, Error> {
        let (now, before) = (backend::now(), backend::pages());
        let since = match of_jobs {
            true => &mut self.of_jobs,
            false => &mut self.of_others,
        };
        let devices = store::due_devices(of_jobs, (*since, now), most, but)?;
        let windows: i64 = devices.iter().map(|device| device.windows).sum();
        let in_vain = backend::pages() - before - PAGES_A_WINDOW * windows;
        self.in_vain = self.in_vain.max(in_vain);
        let oldest = devices.first().map_or(now, |device| device.since);
        let span = ((*since).max(oldest), now);
        // What this transaction makes due is so since its begin, or later.
        *since = (*since).max(oldest.min(backend::transaction_begin()));
        Ok(Look { devices, span })
    }
}
