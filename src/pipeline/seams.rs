//! The seams that devices' runs end with, kept for the next run of each. What is in their way is in nothing else's:
//! without them more is asked.

use std::collections::BTreeMap;

use crate::backend;
use crate::error::Error;
use crate::store;
use crate::track::KnownSeam;

/// By device.
#[derive(Debug, Default)]
pub struct Seams(BTreeMap<String, KnownSeam>);

impl Seams {
    /// Those that are known of some devices.
    pub fn known(devices: &[&str]) -> Result<Self, Error> {
        if devices.is_empty() {
            return Ok(Self::default());
        }
        let known = unless_hindered("look up", || store::known_seams(devices))?;
        Ok(Self(known.unwrap_or_default()))
    }

    pub fn of(&self, device: &str) -> Option<KnownSeam> {
        self.0.get(device).copied()
    }

    /// Takes in what a job of a device ended with; of several the last.
    pub fn put(&mut self, device: String, known: KnownSeam) {
        let last = self.0.entry(device).or_insert(known);
        if last.seam.time < known.seam.time {
            *last = known;
        }
    }

    /// Puts what was taken in on record.
    pub fn keep(&mut self) -> Result<(), Error> {
        let seams = std::mem::take(&mut self.0);
        if !seams.is_empty() {
            unless_hindered("keep", || store::keep_seams(&seams))?;
        }
        Ok(())
    }
}

fn unless_hindered<T>(
    doing: &str,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    match backend::attempt(work) {
        Err(Error::Failed(why)) => {
            if !why.is_lock() {
                why.warn(
                    &format!("could not {doing} where lines were joined"),
                    "Look at what constraints and triggers known_seams has; until then OSRM is asked more than it need be.",
                );
            }
            Ok(None)
        }
        done => done.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{Noise, Seam};

    #[test]
    fn of_the_jobs_of_a_device_the_last_one_counts() {
        let known = |time| KnownSeam {
            fingerprint: time,
            seam: Seam {
                time,
                place: [25.0, 60.0],
                on_road: true,
            },
            noise: Noise::default(),
        };
        let mut seams = Seams::default();
        for (device, time) in [("a", 2), ("b", 1), ("a", 3), ("a", 1)] {
            seams.put(device.into(), known(time));
        }
        assert_eq!(seams.of("a"), Some(known(3)));
        assert_eq!(seams.of("b"), Some(known(1)));
        assert_eq!(seams.of("c"), None);
    }
}
