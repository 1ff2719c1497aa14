//! What a run has found that wants work, and whom it asks about in vain, kept through its rounds.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::backlog::Backlog;
use super::due::Due;
use super::live::Live;
use crate::store::Group;
use crate::track::Micros;

#[derive(Debug)]
pub struct Search {
    pub live: Live,
    pub backlog: Backlog,
    pub due: Due,
    /// Jobs were not gone on with, for they fail.
    pub jobs_fail: bool,
    /// Groups of devices that were asked about in vain.
    pub away: BTreeSet<Group>,
}

thread_local! {
    /// The search of the last run of this session, for its next round.
    static KEPT: RefCell<Option<(i64, Search)>> = const { RefCell::new(None) };
}

impl Search {
    /// A search for live points and, unless it is too early for that after the last one, for all that may wait.
    pub fn new(last: Option<Micros>) -> Self {
        Self {
            live: Live::default(),
            backlog: match last {
                None => Backlog::new(),
                Some(_) => Backlog::none(),
            },
            due: Due::new(last),
            jobs_fail: false,
            away: BTreeSet::new(),
        }
    }

    /// The search that an earlier round of a run has kept.
    pub fn of_run(run: i64) -> Self {
        KEPT.take()
            .filter(|(kept, _)| *kept == run)
            .map_or_else(|| Self::new(None), |(_, search)| search)
    }

    /// Pages that were looked at in vain, if all was searched.
    pub fn pages_in_vain(&self) -> Option<i64> {
        Some(self.backlog.pages_in_vain()? + self.due.pages_in_vain())
    }

    pub fn keep(mut self, run: i64) {
        self.live.go_on_in(run);
        KEPT.set(Some((run, self)));
    }
}
