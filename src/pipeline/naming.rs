//! Names that no device can have. `gps_coordinates` refuses them at insert; in an adopted table they are found only as
//! their points are, and these are set aside as those without a coordinate are: what is stored of a device has its name
//! in indexes and notifications, which take no text of any length.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::store::{self, Source};

/// Bytes of the longest name.
const LONGEST: usize = 255;

/// Those of `found` whose devices can be; the points that wait of others are rejected.
pub fn usable<T>(
    source: &Source,
    found: Vec<T>,
    name: impl Fn(&T) -> &String,
) -> Result<Vec<T>, Error> {
    let (usable, others): (Vec<T>, Vec<T>) =
        (found.into_iter()).partition(|found| name(found).len() <= LONGEST);
    let names: BTreeSet<&String> = others.iter().map(name).collect();
    if !names.is_empty() {
        store::reject_devices(source, names.into_iter().cloned().collect())?;
    }
    Ok(usable)
}
