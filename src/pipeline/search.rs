//! What a run has found that wants work, and whom it asks about in vain, kept through its rounds.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::backlog::Backlog;
use super::live::Live;
use crate::store::Group;

#[derive(Debug)]
pub struct Search {
    pub live: Live,
    pub backlog: Backlog,
    /// Groups of devices that were asked about in vain.
    pub away: BTreeSet<Group>,
}

thread_local! {
    /// The search of the last run of this session, for its next round.
    static KEPT: RefCell<Option<(i64, Search)>> = const { RefCell::new(None) };
}

impl Search {
    /// A search for live points and, if it is time for that, for old ones.
    pub fn new(for_old: bool) -> Self {
        Self {
            live: Live::default(),
            backlog: match for_old {
                true => Backlog::new(),
                false => Backlog::none(),
            },
            away: BTreeSet::new(),
        }
    }

    /// The search that an earlier round of a run has kept.
    pub fn of_run(run: i64) -> Self {
        KEPT.take()
            .filter(|(kept, _)| *kept == run)
            .map_or_else(|| Self::new(true), |(_, search)| search)
    }

    pub fn keep(mut self, run: i64) {
        self.live.go_on_in(run);
        KEPT.set(Some((run, self)));
    }
}
