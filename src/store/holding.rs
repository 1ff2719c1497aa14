//! Which sources may hold a device, and which do. Where there are hundreds of tables, all others need not be asked.

use std::collections::{BTreeSet, HashMap};

use super::points::{Span, spans_with_points};
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

/// Which sources hold points of some devices, each in a span of its own.
pub struct Holders {
    keys: DeviceKeys,
    /// Devices by the place of the source; nothing if there is but one.
    found: Option<Vec<BTreeSet<String>>>,
}

/// Asks each source once for all devices.
pub fn holders(sources: &[Source], spans: &[Span<'_>]) -> Result<Holders, Error> {
    let devices: Vec<&str> = spans.iter().map(|span| span.device).collect();
    let keys = device_keys(sources, &devices)?;
    let found = |source: &Source| -> Result<BTreeSet<String>, Error> {
        let may_hold = |span: &&Span| keys.may_hold(source, span.device);
        let spans: Vec<Span> = spans.iter().filter(may_hold).copied().collect();
        if spans.is_empty() {
            return Ok(BTreeSet::new());
        }
        let found = spans_with_points(source, "look which devices have points", &spans)?;
        Ok((found.into_iter())
            .map(|nth| spans[nth].device.to_owned())
            .collect())
    };
    let found = match sources {
        [_] => None,
        _ => Some(sources.iter().map(found).collect::<Result<_, _>>()?),
    };
    Ok(Holders { keys, found })
}

impl Holders {
    /// Whether points of a device may lie in a source.
    pub fn may_hold(&self, source: &Source, device: &str) -> bool {
        self.keys.may_hold(source, device)
    }

    /// Whether the source at this place holds points of a device.
    pub fn holds(&self, nth: usize, device: &str) -> bool {
        (self.found.as_ref()).is_none_or(|found| found[nth].contains(device))
    }
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
