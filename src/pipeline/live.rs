//! Live windows with new points, which are looked for once a run.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::naming;
use super::windows::window_at;
use crate::error::Error;
use crate::store::{self, DeviceWindow, Source};
use crate::track::Micros;

/// A window with its first and last new point.
pub type WithNew = (DeviceWindow, (Micros, Micros));

#[derive(Debug, Default)]
pub struct Live {
    /// Those of the oldest points first; nothing before they were looked for.
    found: Option<VecDeque<WithNew>>,
    /// What had ended when they were looked for, as a snapshot.
    seen: String,
    /// Devices that another worker had when their windows' turn came.
    passed_by: BTreeSet<String>,
    /// The run that goes through them round by round.
    run: Option<i64>,
}

impl Live {
    /// The next windows (of this length) with unprocessed points in the span, up to `most`; none at
    /// the end.
    pub fn next_windows(
        &mut self,
        sources: &[Source],
        span: (Micros, Micros),
        length: Micros,
        most: usize,
    ) -> Result<Vec<WithNew>, Error> {
        let found = match &mut self.found {
            Some(found) => found,
            none => {
                self.seen = store::snapshot()?;
                none.insert(search(sources, span, length)?)
            }
        };
        let most = most.min(found.len());
        Ok(found.drain(..most).collect())
    }

    /// Puts windows back that there was no time for: the next round begins with them.
    pub fn put_back(&mut self, windows: Vec<WithNew>) {
        let found = self.found.get_or_insert_default();
        windows
            .into_iter()
            .rev()
            .for_each(|window| found.push_front(window));
    }

    pub fn pass_by(&mut self, devices: impl IntoIterator<Item = String>) {
        self.passed_by.extend(devices);
    }

    /// Looks once more for windows of devices that were passed by, and says whether there are any: whoever had such a
    /// device, or another one by the same lock, may have put its windows off, and found the lock taken later on. So
    /// as each worker does this after the last of its windows, none is left by all of them.
    pub fn look_again(
        &mut self,
        sources: &[Source],
        span: (Micros, Micros),
        length: Micros,
    ) -> Result<bool, Error> {
        let passed_by = std::mem::take(&mut self.passed_by);
        if passed_by.is_empty() {
            return Ok(false);
        }
        self.seen = store::snapshot()?;
        let mut found = search(sources, span, length)?;
        found.retain(|(window, _)| passed_by.contains(&window.device));
        let any = !found.is_empty();
        self.found = Some(found);
        Ok(any)
    }

    pub fn go_on_in(&mut self, run: i64) {
        self.run = Some(run);
    }

    /// Whether another worker has done something since the search: it may have been just this.
    pub fn is_overtaken(&self) -> Result<bool, Error> {
        store::others_have_run(&self.seen, self.run)
    }
}

fn search(
    sources: &[Source],
    span: (Micros, Micros),
    length: Micros,
) -> Result<VecDeque<WithNew>, Error> {
    let mut found: BTreeMap<DeviceWindow, (Micros, Micros)> = BTreeMap::new();
    for source in sources {
        let here = store::waiting_live(source, span, length)?;
        for (device, first, last) in naming::usable(source, here, |(device, ..)| device)? {
            let new = found
                .entry(window_at(device, first, length))
                .or_insert((first, last));
            *new = (new.0.min(first), new.1.max(last));
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by_key(|(_, (first, _))| *first);
    Ok(found.into())
}
