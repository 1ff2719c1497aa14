//! The seams that runs ended with, one of each device. Without them a run asks more, and nothing else.

use std::collections::BTreeMap;

use super::statement::{execute, rows, timestamps};
use crate::error::Error;
use crate::track::{KnownSeam, Noise, Seam};

/// Those of some devices, as far as they are known.
pub fn known_seams(devices: &[&str]) -> Result<BTreeMap<String, KnownSeam>, Error> {
    let found = rows(
        "look up where lines were joined",
        "SELECT s.device_id, s.fingerprint, s.seam_time, s.longitude, s.latitude, s.on_road, s.hidden_noise, s.radius, s.off_road
           FROM @extschema@.known_seams s WHERE s.device_id = ANY ($1::text[])",
        &[devices.to_vec().into()],
        |row| {
            let seam = Seam {
                time: row.time(3)?,
                place: [row.get(4)?, row.get(5)?],
                on_road: row.get(6)?,
            };
            let noise = Noise {
                hidden: row.maybe(7)?,
                radius: row.get(8)?,
                off_road: row.get(9)?,
            };
            let fingerprint = row.get(2)?;
            Ok((row.get(1)?, KnownSeam { fingerprint, seam, noise }))
        },
    )?;
    Ok(found.into_iter().collect())
}

/// Keeps them in the place of those that were known of their devices.
pub fn keep_seams(seams: &BTreeMap<String, KnownSeam>) -> Result<(), Error> {
    let number = |of: fn(&KnownSeam) -> f64| seams.values().map(of).collect::<Vec<_>>();
    execute(
        "keep where lines were joined",
        "INSERT INTO @extschema@.known_seams AS s
                (device_id, fingerprint, seam_time, longitude, latitude, on_road, hidden_noise, radius, off_road)
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::float8[], $5::float8[], $6::boolean[],
                              $7::float8[], $8::float8[], $9::float8[])
         ON CONFLICT (device_id) DO UPDATE SET
             fingerprint = excluded.fingerprint, seam_time = excluded.seam_time, longitude = excluded.longitude,
             latitude = excluded.latitude, on_road = excluded.on_road, hidden_noise = excluded.hidden_noise,
             radius = excluded.radius, off_road = excluded.off_road
          WHERE s.fingerprint <> excluded.fingerprint",
        &[
            seams.keys().map(String::as_str).collect::<Vec<_>>().into(),
            seams.values().map(|s| s.fingerprint).collect::<Vec<_>>().into(),
            timestamps(seams.values().map(|s| s.seam.time)).into(),
            number(|s| s.seam.place[0]).into(),
            number(|s| s.seam.place[1]).into(),
            seams.values().map(|s| s.seam.on_road).collect::<Vec<_>>().into(),
            seams.values().map(|s| s.noise.hidden).collect::<Vec<_>>().into(),
            number(|s| s.noise.radius).into(),
            number(|s| s.noise.off_road).into(),
        ],
    )
}
