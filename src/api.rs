//! Every function that SQL can call in this library, each a few lines over the module that does it.

// pgrx takes a SQLSTATE, a detail and a hint from this error type only, whatever its size.
#![allow(clippy::result_large_err)]

mod documents;
mod internal;

use std::time::Duration;

use pgrx::datum::Uuid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::error::Error;
use crate::pipeline::{self, Call, Limits};
use crate::settings::Settings;
use crate::store::RunRow;

/// Matches what is pending, live windows first, in the caller's transaction.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn process_pending_gps(
    max_windows: default!(Option<i32>, 500),
    max_seconds: default!(Option<i32>, 30),
) -> Result<
    TableIterator<
        'static,
        (
            name!(windows_completed, i32),
            name!(windows_failed, i32),
            name!(windows_deferred, i32),
            name!(points, i64),
            name!(rejected, i64),
            name!(paths, i32),
            name!(osrm_calls, i32),
            name!(duration_ms, i32),
            name!(osrm_error, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let done = pipeline::process(limits(max_windows, max_seconds)?, Call::Hand)?;
    Ok(TableIterator::once(figures(done.report)))
}

/// A round of the procedure `process_pending`: the run's id, and whether another round is worth it.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn _process_round(
    run: Option<i64>,
    max_windows: Option<i32>,
    max_seconds: Option<i32>,
) -> Result<TableIterator<'static, (name!(run_id, Option<i64>), name!(more, bool))>, ErrorReport> {
    let limits = limits(max_windows, max_seconds)?;
    let done = pipeline::process(limits, Call::Round(run))?;
    Ok(TableIterator::once((done.id, done.more)))
}

/// Puts windows that want work on record as pending batches and returns how many.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn make_batches(max_windows: default!(Option<i32>, 1000)) -> Result<i64, ErrorReport> {
    let limits = limits(max_windows, Some(1))?;
    Ok(pipeline::plan(limits.windows)?)
}

/// Takes pending batches for `match_batches`; what is not matched within ten minutes is taken
/// back by the next run.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
fn claim_batches(
    max_windows: default!(Option<i32>, 100),
) -> Result<SetOfIterator<'static, Uuid>, ErrorReport> {
    let limits = limits(max_windows, Some(1))?;
    Ok(SetOfIterator::new(pipeline::take(limits.windows)?))
}

/// Matches batches that `claim_batches` returned, in the caller's transaction.
#[pg_extern(volatile, parallel_unsafe, security_definer, strict)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn match_batches(
    batch_ids: Vec<Option<Uuid>>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(windows_completed, i32),
            name!(windows_failed, i32),
            name!(windows_deferred, i32),
            name!(points, i64),
            name!(rejected, i64),
            name!(paths, i32),
            name!(osrm_calls, i32),
            name!(duration_ms, i32),
            name!(osrm_error, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let run = pipeline::process_batches(batch_ids.into_iter().flatten().collect())?;
    Ok(TableIterator::once(figures(run)))
}

#[allow(clippy::type_complexity)]
fn figures(run: RunRow) -> (i32, i32, i32, i64, i64, i32, i32, i32, Option<String>) {
    (
        run.windows_completed,
        run.windows_failed,
        run.windows_deferred,
        run.points,
        run.rejected,
        run.paths,
        run.osrm_calls,
        run.millis,
        run.osrm_error,
    )
}

fn limits(max_windows: Option<i32>, max_seconds: Option<i32>) -> Result<Limits, Error> {
    let positive = |name, value: Option<i32>| {
        let number = value.and_then(|value| u32::try_from(value).ok());
        number.filter(|v| *v > 0).ok_or_else(|| {
            let value = value.map_or_else(|| "null".into(), |value| value.to_string());
            Error::BadArgument {
                name,
                why: format!("it is {value}, and must be at least 1"),
                hint: "Leave the argument out for its default.",
            }
        })
    };
    Ok(Limits {
        windows: positive("max_windows", max_windows)? as usize,
        time: Duration::from_secs(u64::from(positive("max_seconds", max_seconds)?)),
    })
}

/// Asks each OSRM server for a sign of life and says what it is, or what is wrong.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn osrm_health() -> Result<
    TableIterator<
        'static,
        (
            name!(reachable, bool),
            name!(round_trip_ms, Option<f64>),
            name!(data_version, Option<String>),
            name!(max_matching_size, i32),
            name!(problem, Option<String>),
            name!(advice, Option<String>),
            name!(server, String),
            name!(osrm_group, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let settings = Settings::read();
    let size = settings.client.max_matching_size as i32;
    let rows = pipeline::ask_health(&settings)?.into_iter().map(move |said| {
        let (server, group) = (said.server, said.group);
        match said.answer {
            Ok(health) => {
                let millis = Some(health.round_trip.as_secs_f64() * 1000.0);
                let version = health.data_version;
                (true, millis, version, size, None, None, server, group)
            }
            Err(away) => {
                let named_by = match group {
                    Some(_) => "its group in osrm_groups",
                    None => "osrm_matcher.osrm_url",
                };
                let https = match server.starts_with("https:") {
                    true => {
                        " osrm-routed itself speaks http: https takes a proxy before it, with a certificate \
                         of a public authority."
                    }
                    false => "",
                };
                let advice = format!(
                    "See that osrm-routed runs and that {named_by} names it; points wait until it answers.{https}"
                );
                let (problem, advice) = (Some(away.why), Some(advice));
                (false, None, None, size, problem, advice, server, group)
            }
        }
    });
    Ok(TableIterator::new(rows))
}

/// Which group devices are in (null: all that have paths), by the list, the columns and the patterns.
#[pg_extern(volatile, parallel_unsafe, security_definer)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn get_osrm_groups(
    device_ids: default!(Option<Vec<Option<String>>>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(device_id, String), name!(osrm_group, Option<String>))>,
    ErrorReport,
> {
    let devices = device_ids.map(|devices| devices.into_iter().flatten().collect());
    Ok(TableIterator::new(pipeline::groups_of(devices)?))
}

/// Encodes longitudes and latitudes in degrees as a Google encoded polyline.
#[pg_extern(immutable, parallel_safe, strict)]
fn encode_polyline(
    longitudes: Vec<Option<f64>>,
    latitudes: Vec<Option<f64>>,
    precision: default!(i32, 5),
) -> Result<String, ErrorReport> {
    if longitudes.len() != latitudes.len() {
        let why = format!(
            "there are {} latitudes for {} longitudes",
            latitudes.len(),
            longitudes.len()
        );
        let hint = "Give as many latitudes as longitudes.";
        return Err(Error::BadArgument {
            name: "latitudes",
            why,
            hint,
        }
        .into());
    }
    let points: Option<Vec<_>> = longitudes
        .iter()
        .zip(&latitudes)
        .map(|(lon, lat)| Some(((*lon)?, (*lat)?).into()))
        .collect();
    let bad = |why: String| {
        let hint = "Longitudes lie between -180 and 180 degrees, latitudes between -90 and 90.";
        Error::BadArgument {
            name: "longitudes",
            why,
            hint,
        }
    };
    let points = points.ok_or_else(|| bad("a coordinate is null".into()))?;
    let encoded = polyline::encode_coordinates(points, decimals(precision)?);
    Ok(encoded.map_err(|cause| bad(cause.to_string().to_lowercase()))?)
}

/// Decodes a Google encoded polyline into a row a point, numbered from 1.
#[pg_extern(immutable, parallel_safe, strict)]
fn decode_polyline(
    encoded: &str,
    precision: default!(i32, 5),
) -> Result<
    TableIterator<
        'static,
        (
            name!(ordinal, i32),
            name!(longitude, f64),
            name!(latitude, f64),
        ),
    >,
    ErrorReport,
> {
    let line = polyline::decode_polyline(encoded, decimals(precision)?).map_err(|cause| {
        let hint =
            "See that the text is whole, and that its precision is the one it was made with.";
        let why = format!("it is not an encoded polyline: {cause}");
        Error::BadArgument {
            name: "encoded",
            why,
            hint,
        }
    })?;
    Ok(TableIterator::new(
        line.0
            .into_iter()
            .enumerate()
            .map(|(n, point)| (n as i32 + 1, point.x, point.y)),
    ))
}

fn decimals(precision: i32) -> Result<u32, Error> {
    match precision {
        5 | 6 => Ok(precision as u32),
        _ => Err(Error::BadArgument {
            name: "precision",
            why: format!("it is {precision}"),
            hint: "Google's format has precision 5, OSRM's polyline6 has 6.",
        }),
    }
}
