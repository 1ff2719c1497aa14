//! Groups of devices that are matched by servers of their own.

use std::collections::{BTreeSet, HashMap};

use super::holding::device_keys;
use super::source::{CLOCK_AHEAD, Source};
use super::statement::read_rows;
use crate::backend::{self, timestamp};
use crate::error::Error;
use crate::track::Micros;

/// A group by its name; nothing stands for the devices that are in none.
pub type Group = Option<String>;

/// What is asked about a group's devices, and where.
pub struct GroupRow {
    pub name: String,
    /// Addresses of the servers, as the table has them.
    pub servers: String,
    pub profile: String,
}

const DAY: Micros = 86_400_000_000;

/// All groups.
pub fn groups() -> Result<Vec<GroupRow>, Error> {
    read_rows(
        "read the groups of devices",
        "SELECT name, osrm_url, profile FROM @extschema@.osrm_groups ORDER BY name",
        &[],
        |row| {
            Ok(GroupRow {
                name: row.get(1)?,
                servers: row.get(2)?,
                profile: row.get(3)?,
            })
        },
    )
}

/// Which group each of these devices is in.
pub fn groups_of(sources: &[Source], devices: &[String]) -> Result<HashMap<String, Group>, Error> {
    let said = said_of(sources, devices)?;
    let said: Vec<Group> = devices.iter().map(|d| said.get(d).cloned()).collect();
    let found = read_rows(
        "look up the groups of devices",
        "SELECT device_id, osrm_group FROM @extschema@._groups_of($1, $2)",
        &[devices.to_vec().into(), said.into()],
        |row| Ok((row.get(1)?, row.maybe(2)?)),
    )?;
    Ok(found.into_iter().collect())
}

/// Devices that have paths.
pub fn devices_with_paths() -> Result<Vec<String>, Error> {
    read_rows(
        "look for devices",
        "SELECT device_id FROM @extschema@.get_devices()",
        &[],
        |row| row.get(1),
    )
}

/// The groups that devices are in by what a column of their newest rows holds.
fn said_of(sources: &[Source], devices: &[String]) -> Result<HashMap<String, String>, Error> {
    if !sources.iter().any(Source::says_group) {
        return Ok(HashMap::new());
    }
    let mut newest: HashMap<String, (Micros, Group)> = HashMap::new();
    let all: Vec<&str> = devices.iter().map(String::as_str).collect();
    let keys = device_keys(sources, &all)?;
    for source in sources.iter().filter(|source| source.says_group()) {
        let here = devices
            .iter()
            .filter(|device| keys.may_hold(source, device));
        for (device, at, group) in newest_rows(source, here.cloned().collect())? {
            match newest.get(&device) {
                Some((other, _)) if *other >= at => {}
                _ => drop(newest.insert(device, (at, group))),
            }
        }
    }
    let said = |(device, (_, group)): (String, (Micros, Group))| Some((device, group?));
    Ok(newest.into_iter().filter_map(said).collect())
}

/// The newest row of each of the devices `left` that has one: its time, and the group that it says. Few partitions
/// hold what a device sent lately; only for one that has been silent are all looked at.
fn newest_rows(
    source: &Source,
    mut left: Vec<String>,
) -> Result<Vec<(String, Micros, Group)>, Error> {
    let now = backend::now();
    let mut found = Vec::new();
    for since in [now - DAY, Micros::MIN] {
        if left.is_empty() {
            break;
        }
        let here = source.search(
            "look up what rows say of groups",
            include_str!("said_groups.sql"),
            &[
                left.clone().into(),
                timestamp(since).into(),
                timestamp(now + CLOCK_AHEAD).into(),
            ],
            |row| Ok((row.get::<String>(1)?, row.time(2)?, row.maybe(3)?)),
        )?;
        let known: BTreeSet<&str> = here.iter().map(|(device, _, _)| device.as_str()).collect();
        left.retain(|device| !known.contains(device.as_str()));
        found.extend(here);
    }
    Ok(found)
}
