//! Old points that wait: those from before the live windows, whose devices are looked for once a
//! run.

use super::naming;
use crate::backend;
use crate::error::Error;
use crate::store::{self, Source};
use crate::track::Micros;

/// Points that one search looks at.
const PORTION: i64 = 20_000;
/// Pages that a point takes which is found: in the index and in the table.
const PAGES_A_POINT: i64 = 2;

/// A device and the moment from which on it has unprocessed points.
pub type Waiting = (String, Micros);

/// A search for old points in the making.
#[derive(Debug)]
pub struct Backlog {
    /// Devices found and not yet taken, those of the oldest points first.
    devices: Vec<Waiting>,
    /// Where the next search begins; nothing once all has been searched.
    next: Option<Micros>,
    /// Pages that a search looked at in vain, at most.
    in_vain: i64,
    searched: bool,
}

impl Backlog {
    pub fn new() -> Self {
        Self {
            devices: Vec::new(),
            next: Some(Micros::MIN),
            in_vain: 0,
            searched: false,
        }
    }

    /// One that finds nothing.
    pub fn none() -> Self {
        Self {
            next: None,
            ..Self::new()
        }
    }

    /// Pages that a search looked at in vain, if all was searched.
    pub fn pages_in_vain(&self) -> Option<i64> {
        (self.searched && self.next.is_none()).then_some(self.in_vain)
    }

    /// The next devices with unprocessed points in the span, up to `most`; none at the end.
    pub fn next_devices(
        &mut self,
        sources: &[Source],
        span: (Micros, Micros),
        most: usize,
    ) -> Result<Vec<Waiting>, Error> {
        while self.devices.is_empty()
            && let Some(from) = self.next
        {
            let before = backend::pages();
            let found = search(sources, (from.max(span.0), span.1))?;
            let in_vain = backend::pages() - before - PAGES_A_POINT * found.points;
            (self.devices, self.next) = (found.devices, found.next);
            self.in_vain = self.in_vain.max(in_vain);
            self.searched = true;
        }
        let most = most.min(self.devices.len());
        Ok(self.devices.drain(..most).collect())
    }

    /// Puts devices back that may have more than was taken of them.
    pub fn put_back(&mut self, mut devices: Vec<Waiting>) {
        devices.append(&mut self.devices);
        self.devices = devices;
    }
}

/// What a search comes to.
struct Found {
    devices: Vec<Waiting>,
    points: i64,
    /// Where to search on, if that was not all.
    next: Option<Micros>,
}

/// Looks for the devices of the oldest points in the span.
fn search(sources: &[Source], (since, until): (Micros, Micros)) -> Result<Found, Error> {
    let mut devices = Vec::new();
    let mut points = 0;
    let mut next: Option<Micros> = None;
    for source in sources {
        let here = store::waiting_devices(source, (since, until), PORTION)?;
        let seen: i64 = here.iter().map(|device| device.points).sum();
        if seen >= PORTION {
            // Points of one moment may be more than a portion.
            let last = here.iter().map(|device| device.newest).max();
            let end = last.map(|last| last.max(since + 1));
            next = next.into_iter().chain(end).min();
        }
        points += seen;
        let here = naming::usable(source, here, |found| &found.device)?;
        devices.extend(here.into_iter().map(|d| (d.device, d.oldest)));
    }
    Ok(Found {
        devices: in_order(devices),
        points,
        next,
    })
}

/// Each device once, those of the oldest points first.
fn in_order(mut devices: Vec<Waiting>) -> Vec<Waiting> {
    devices.sort();
    devices.dedup_by(|later, first| later.0 == first.0);
    devices.sort_by_key(|(_, oldest)| *oldest);
    devices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_that_has_waited_longest_comes_first_and_each_only_once() {
        let waiting = [("c", 3), ("a", 2), ("b", 1), ("b", 4)];
        let waiting = waiting.map(|(name, oldest)| (name.to_string(), oldest));
        let expected = [("b", 1), ("a", 2), ("c", 3)];
        assert_eq!(
            in_order(waiting.to_vec()),
            expected.map(|(name, oldest)| (name.to_string(), oldest))
        );
    }

    #[test]
    fn devices_put_back_come_before_the_others() {
        let device = |name: &str| (name.to_string(), 0);
        let mut backlog = Backlog::none();
        backlog.put_back(vec![device("b")]);
        backlog.put_back(vec![device("a")]);
        assert_eq!(backlog.devices, [device("a"), device("b")]);
    }
}
