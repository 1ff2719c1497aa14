//! Which group each device is in, and which groups cannot be asked about at present.

use std::collections::{BTreeSet, HashMap};

use crate::error::Error;
use crate::store::{self, Group, Source, Unsaid};

/// What a run knows of groups. Where there are none, it looks nothing up.
#[derive(Default)]
pub struct Membership {
    grouped: bool,
    of: HashMap<String, Group>,
    away: BTreeSet<Group>,
    unsaid: Option<Unsaid>,
}

impl Membership {
    pub fn new(sources: &[Source]) -> Self {
        Self {
            grouped: store::are_grouped(sources),
            ..Self::default()
        }
    }

    pub fn is_grouped(&self) -> bool {
        self.grouped
    }

    /// Looks these devices up, as far as they are not known yet: for a run, each stays in its group.
    pub fn look_up(&mut self, sources: &[Source], devices: &[String]) -> Result<(), Error> {
        let unknown = |device: &&String| !self.of.contains_key(*device);
        let unknown: Vec<String> = match self.grouped {
            true => devices.iter().filter(unknown).cloned().collect(),
            false => Vec::new(),
        };
        if !unknown.is_empty() {
            let (found, unsaid) = store::groups_of(sources, &unknown)?;
            self.of.extend(found);
            self.unsaid = self.unsaid.take().or(unsaid);
        }
        Ok(())
    }

    /// The group of a device that was looked up.
    pub fn of(&self, device: &str) -> Group {
        self.of.get(device).cloned().flatten()
    }

    /// Why a table did not say the group of a device.
    pub fn unsaid(&self) -> Option<String> {
        let unsaid = self.unsaid.as_ref()?;
        Some(format!("{}: {}", unsaid.what, unsaid.why.message))
    }

    /// Whether a device is known to be in a group that cannot be asked about.
    pub fn is_away(&self, device: &str) -> bool {
        self.of
            .get(device)
            .is_some_and(|group| self.away.contains(group))
    }

    pub fn is_any_away(&self) -> bool {
        self.grouped && !self.away.is_empty()
    }

    /// Groups that a run has asked about in vain: it does so once.
    pub fn away(&self) -> &BTreeSet<Group> {
        &self.away
    }

    pub fn add_away(&mut self, away: BTreeSet<Group>) {
        self.away.extend(away);
    }
}
