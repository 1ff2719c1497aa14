//! What a run must leave alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::store::{self, DeviceWindow};

/// Windows that must be left alone for now: put off, or in somebody's hands.
#[derive(Default)]
pub struct Held {
    pub windows: BTreeSet<DeviceWindow>,
    /// The most that any one device has.
    pub most_of_one: usize,
}

impl Held {
    pub fn read() -> Result<Self, Error> {
        let windows: BTreeSet<DeviceWindow> = store::held_windows()?.into_iter().collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for window in &windows {
            *counts.entry(&window.device).or_default() += 1;
        }
        let most_of_one = counts.values().copied().max().unwrap_or(0);
        Ok(Self {
            windows,
            most_of_one,
        })
    }
}
