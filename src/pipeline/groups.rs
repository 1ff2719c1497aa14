//! The groups of a run, each with servers and threads of its own: what is wrong with those of one is nothing to the
//! others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::matching::{Done, Matchers, POLL};
use super::reading::Job;
use crate::backend::interrupts;
use crate::error::Error;
use crate::osrm::client::{ClientSettings, LeftOut};
use crate::osrm::reply::Away;
use crate::settings::Settings;
use crate::store::{self, Group, ServerLeftOut};

/// How long the threads of one group are listened to while others work, too.
const TURN: Duration = Duration::from_millis(5);

pub struct Groups {
    /// By their names; those of devices in no group come first.
    all: BTreeMap<Group, Matchers>,
    /// Groups that work is for and that are not among ours, for they were made meanwhile.
    unknown: BTreeSet<Group>,
    /// What the last run knew of servers that failed.
    seen: Vec<ServerLeftOut>,
}

/// Each group's servers, and how they are asked.
pub fn clients(
    settings: &ClientSettings,
    grouped: bool,
) -> Result<Vec<(Group, ClientSettings)>, Error> {
    let mut clients = vec![(None, settings.clone())];
    if grouped {
        clients.extend(store::groups()?.into_iter().map(|group| {
            let client = ClientSettings {
                servers: group.servers,
                profile: group.profile,
                ..settings.clone()
            };
            (Some(group.name), client)
        }));
    }
    Ok(clients)
}

impl Groups {
    /// `seen` is what the last run, or an earlier round of this one, knew of servers that failed.
    pub fn new(
        settings: &Settings,
        grouped: bool,
        seen: Vec<ServerLeftOut>,
    ) -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        for (group, client) in clients(&settings.client, grouped)? {
            let known: Vec<LeftOut> = (seen.iter().filter(|out| out.group == group))
                .map(|out| out.server.clone())
                .collect();
            all.insert(group, Matchers::new(settings, &client, &known)?);
        }
        Ok(Self {
            all,
            unknown: BTreeSet::new(),
            seen,
        })
    }

    /// Starts the threads of these groups, unless they run, and has servers asked for a sign of life as it is time.
    pub fn start(&mut self, wanted: BTreeSet<Group>) -> Result<(), Error> {
        let mut fresh = Vec::new();
        for group in wanted {
            let Some(matchers) = self.all.get_mut(&group) else {
                self.unknown.insert(group);
                continue;
            };
            if matchers.start()? {
                fresh.push(group);
            }
        }
        self.wait_for_servers(&fresh)?;
        fresh.retain(|group| self.all[group].away().is_some());
        for group in &fresh {
            if let Some(matchers) = self.all.get_mut(group) {
                matchers.ask_all();
            }
        }
        self.wait_for_servers(&fresh)
    }

    /// Waits until each of these groups has a server that has given a sign of life, or none of those that were asked.
    fn wait_for_servers(&mut self, groups: &[Group]) -> Result<(), Error> {
        while groups.iter().any(|g| self.all[g].awaits_a_server()) {
            self.receive(POLL)?;
        }
        Ok(())
    }

    pub fn submit(&mut self, job: Job) {
        let group = job.targets.first().map(|target| &target.group);
        if let Some(matchers) = group.and_then(|group| self.all.get_mut(group)) {
            matchers.submit(job);
        }
    }

    /// Jobs under way.
    pub fn open(&self) -> usize {
        self.all.values().map(Matchers::open).sum()
    }

    /// Whether so much is under way that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.all.values().any(Matchers::is_full)
    }

    /// The next job that is done, waiting no longer than `wait`. Serves interrupts; where one ends the statement, all
    /// threads are stopped before.
    pub fn receive(&mut self, wait: Duration) -> Result<Option<Done>, Error> {
        if interrupts::ending() {
            self.cancel();
            self.all.values_mut().for_each(Matchers::stop);
        }
        interrupts::serve();
        let mut open: Vec<&mut Matchers> = self.all.values_mut().filter(|m| m.open() > 0).collect();
        let turn = if open.len() > 1 { wait.min(TURN) } else { wait };
        // What is there is taken first: nobody waits for threads of a group whose servers are slow.
        for wait in [Duration::ZERO, turn] {
            for matchers in &mut open {
                if let Some(done) = matchers.receive(wait)? {
                    return Ok(Some(done));
                }
            }
        }
        Ok(None)
    }

    /// Ends all requests; jobs come back with what they have.
    pub fn cancel(&self) {
        self.all.values().for_each(Matchers::cancel);
    }

    /// Has jobs end with the windows that they have begun.
    pub fn wind_up(&self) {
        self.all.values().for_each(Matchers::wind_up);
    }

    pub fn calls(&self) -> u64 {
        self.all.values().map(Matchers::calls).sum()
    }

    /// Groups that were asked about in vain.
    pub fn found_away(&self) -> BTreeSet<Group> {
        let away = self.asked().filter(|(_, m)| m.away().is_some());
        let away = away.map(|(group, _)| group.clone());
        away.chain(self.unknown.iter().cloned()).collect()
    }

    /// Whether there is a group that can be asked about, or has not been asked about yet.
    pub fn is_any_left(&self) -> bool {
        self.all
            .values()
            .any(|m| !m.is_started() || m.away().is_none())
    }

    fn asked(&self) -> impl Iterator<Item = (&Group, &Matchers)> {
        self.all
            .iter()
            .filter(|(_, matchers)| matchers.is_started())
    }

    /// Why OSRM as a whole is held for away, if no server of the groups that were asked about is there.
    pub fn away(&self) -> Option<Away> {
        let away: Vec<(&Group, Away)> = (self.asked())
            .map(|(group, matchers)| Some((group, matchers.away()?)))
            .collect::<Option<_>>()?;
        let pauses: Option<Vec<Duration>> = away.iter().map(|(_, away)| away.pause).collect();
        let words: Vec<String> = (away.into_iter())
            .map(|(group, away)| match group {
                Some(name) => format!("group {name}: {}", away.why),
                None => away.why,
            })
            .collect();
        (!words.is_empty()).then(|| Away {
            why: words.join("; "),
            pause: pauses.and_then(|pauses| pauses.into_iter().min()),
        })
    }

    /// Servers that are left out; of groups that were not asked about, as they were seen before.
    pub fn left_out(&self) -> Vec<ServerLeftOut> {
        let of = |(group, matchers): (&Group, &Matchers)| match matchers.is_started() {
            true => (matchers.left_out().into_iter())
                .map(|server| ServerLeftOut {
                    group: group.clone(),
                    server,
                })
                .collect(),
            false => (self.seen.iter().filter(|out| out.group == *group))
                .cloned()
                .collect::<Vec<_>>(),
        };
        self.all.iter().flat_map(of).collect()
    }
}
