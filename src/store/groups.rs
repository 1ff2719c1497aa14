//! Groups of devices that are matched by servers of their own.

use std::collections::{BTreeSet, HashMap};

use super::holding::device_keys;
use super::source::{CLOCK_AHEAD, Source};
use super::statement::{Columns, read_rows};
use crate::backend::{self, timestamp};
use crate::error::{Error, Failure};
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

/// Why a table does not say which group a device is in, though it has a column for that.
pub struct Unsaid {
    /// Which table, which device.
    pub what: String,
    pub why: Failure,
}

/// Which group each of these devices is in; and of the first that a table should have said it of and did not, why.
pub fn groups_of(
    sources: &[Source],
    devices: &[String],
) -> Result<(HashMap<String, Group>, Option<Unsaid>), Error> {
    let (said, unsaid) = said_of(sources, devices)?;
    let said: Vec<Group> = devices.iter().map(|d| said.get(d).cloned()).collect();
    let found = read_rows(
        "look up the groups of devices",
        "SELECT device_id, osrm_group FROM @extschema@._groups_of($1, $2)",
        &[devices.to_vec().into(), said.into()],
        |row| Ok((row.get(1)?, row.maybe(2)?)),
    )?;
    Ok((found.into_iter().collect(), unsaid))
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
fn said_of(
    sources: &[Source],
    devices: &[String],
) -> Result<(HashMap<String, String>, Option<Unsaid>), Error> {
    let saying: Vec<&Source> = sources
        .iter()
        .filter(|source| source.says_group())
        .collect();
    if saying.is_empty() {
        return Ok((HashMap::new(), None));
    }
    let (mut newest, mut unsaid) = (HashMap::<String, (Micros, Group)>::new(), None);
    let all: Vec<&str> = devices.iter().map(String::as_str).collect();
    let keys = device_keys(sources, &all)?;
    for source in saying {
        let here = devices
            .iter()
            .filter(|device| keys.may_hold(source, device));
        for (device, at, group) in newest_rows(source, here.cloned().collect(), &mut unsaid)? {
            match newest.get(&device) {
                Some((other, _)) if *other >= at => {}
                _ => drop(newest.insert(device, (at, group))),
            }
        }
    }
    let said = |(device, (_, group)): (String, (Micros, Group))| Some((device, group?));
    Ok((newest.into_iter().filter_map(said).collect(), unsaid))
}

/// The newest row of each of the devices `left` that has one: its time, and the group that it says. Few partitions
/// hold what a device sent lately; only for one that has been silent are all looked at.
fn newest_rows(
    source: &Source,
    mut left: Vec<String>,
    unsaid: &mut Option<Unsaid>,
) -> Result<Vec<NewestRow>, Error> {
    let mut found = Vec::new();
    for since in [backend::now() - DAY, Micros::MIN] {
        if left.is_empty() {
            break;
        }
        let here = newest_since(source, &left, since, unsaid)?;
        let known: BTreeSet<&str> = here.iter().map(|(device, _, _)| device.as_str()).collect();
        left.retain(|device| !known.contains(device.as_str()));
        found.extend(here);
    }
    Ok(found)
}

/// A device, the time of its newest row, and the group that this says.
type NewestRow = (String, Micros, Group);

const DOING: &str = "look up what rows say of groups";
const NEWEST: &str = include_str!("said_groups.sql");

/// Those rows from a moment on. A column can be of a type whose text raises an error: a row that cannot be read so says
/// nothing, and keeps no other from saying it.
fn newest_since(
    source: &Source,
    devices: &[String],
    since: Micros,
    unsaid: &mut Option<Unsaid>,
) -> Result<Vec<NewestRow>, Error> {
    if source.is_aside() {
        return Ok(Vec::new());
    }
    let args = |devices: &[String]| {
        [
            devices.to_vec().into(),
            timestamp(since).into(),
            timestamp(backend::now() + CLOCK_AHEAD).into(),
        ]
    };
    let row = |row: &Columns| Ok((row.get(1)?, row.time(2)?, row.maybe(3)?));
    if let Ok(rows) = source.attempt(DOING, NEWEST, &args(devices), row) {
        return Ok(rows);
    }
    // Where the table itself is what fails, this sets it aside.
    let without = NEWEST.replace("{group}", "NULL::text");
    let mut rows: Vec<NewestRow> = source.search(DOING, &without, &args(devices), row)?;
    for newest in &mut rows {
        let device = newest.0.clone();
        match source.attempt(DOING, NEWEST, &args(&[device]), row) {
            Ok(said) => newest.2 = said.into_iter().next().and_then(|said| said.2),
            Err(error) => drop(unsaid.get_or_insert_with(|| Unsaid {
                what: format!(
                    "table {} does not say which group device \"{}\" is in",
                    source.name(),
                    newest.0
                ),
                why: error.into(),
            })),
        }
    }
    Ok(rows)
}
