//! Which sources may hold a device. Where hundreds of tables say so, all others need not be asked.

use std::collections::{BTreeSet, HashMap};

use super::source::Source;
use super::statement::read;
use crate::backend;
use crate::error::Error;

/// Values of the keys by which sources say which devices they hold: by key and device.
#[derive(Debug, Default)]
pub struct DeviceKeys(HashMap<String, HashMap<String, i64>>);

/// What the keys of the sources say of some devices; a key that fails says nothing.
pub fn device_keys(sources: &[Source], devices: &[&str]) -> Result<DeviceKeys, Error> {
    let keys: BTreeSet<&str> = sources.iter().filter_map(|s| Some(s.holds()?.0)).collect();
    let mut known = DeviceKeys::default();
    for key in keys {
        match backend::attempt(|| values(key, devices)) {
            Ok(values) => known.0.insert(key.to_string(), values),
            Err(Error::Failed(_)) => None,
            Err(error) => return Err(error),
        };
    }
    Ok(known)
}

fn values(key: &str, devices: &[&str]) -> Result<HashMap<String, i64>, Error> {
    let sql =
        format!("SELECT d.device_id, ({key})::bigint FROM unnest($1::text[]) AS d (device_id)");
    let found = read(
        "look which sources hold a device",
        &sql,
        &[devices.to_vec().into()],
        |row| Ok((row.get::<String>(1)?, row.maybe::<i64>(2)?)),
    )?;
    let known = |(device, value): (String, Option<i64>)| Some((device, value?));
    Ok(found.into_iter().filter_map(known).collect())
}

impl DeviceKeys {
    /// Whether points of a device may lie in a source.
    pub fn may_hold(&self, source: &Source, device: &str) -> bool {
        let value = |key| self.0.get(key)?.get(device);
        source
            .holds()
            .is_none_or(|(key, range)| value(key).is_none_or(|value| range.contains(value)))
    }
}
