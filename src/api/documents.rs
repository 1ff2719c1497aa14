//! What writes the documents of `sql/page.sql`; only the extension's own SQL calls it.

use pgrx::AnyElement;
use pgrx::datum::{Internal, TimestampWithTimeZone};
use pgrx::prelude::*;

use crate::backend::{self, aggregate};
use crate::page::{self, Fleet, Path, Paths};

/// Takes a path in: the aggregate `_paths_json` writes paths as the documents have them.
#[pg_extern(immutable, parallel_safe)]
#[allow(clippy::too_many_arguments)] // an argument a column
fn _add_path(
    mut paths: Internal,
    start_time: TimestampWithTimeZone,
    end_time: TimestampWithTimeZone,
    encoded_polyline: &str,
    osrm_confidence: Option<f64>,
    point_count: i32,
    match_status: &str,
    grade: &str,
    reason: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Internal {
    aggregate::state::<Paths>(&mut paths, call).push(path_of(
        (start_time, end_time),
        encoded_polyline,
        osrm_confidence,
        point_count,
        [match_status, grade],
        reason,
    ));
    paths
}

/// What `_paths_json` has written; null if there was no path.
#[pg_extern(immutable, parallel_safe)]
fn _written_paths(paths: Internal) -> Option<&'static str> {
    aggregate::held(paths).map(Paths::json)
}

/// A path as a Feature of GeoJSON.
#[pg_extern(sql = "
    CREATE FUNCTION _feature(device_id text, start_time timestamptz, end_time timestamptz, encoded_polyline text,
                             osrm_confidence double precision, point_count integer, match_status text, grade text,
                             reason text) RETURNS json
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';")]
#[allow(clippy::too_many_arguments)] // an argument a column
fn _feature(
    device_id: &str,
    start_time: TimestampWithTimeZone,
    end_time: TimestampWithTimeZone,
    encoded_polyline: &str,
    osrm_confidence: Option<f64>,
    point_count: i32,
    match_status: &str,
    grade: &str,
    reason: Option<&str>,
) -> String {
    let path = path_of(
        (start_time, end_time),
        encoded_polyline,
        osrm_confidence,
        point_count,
        [match_status, grade],
        reason,
    );
    page::feature(device_id, path)
}

/// A path for a page of 0.1.0, whose SQL calls this until the extension is updated; no later version does.
#[pg_extern(sql = false)]
fn _path_json(
    start_time: TimestampWithTimeZone,
    end_time: TimestampWithTimeZone,
    encoded_polyline: &str,
    osrm_confidence: Option<f64>,
    point_count: i32,
    match_status: &str,
    grade: &str,
) -> String {
    let mut paths = Paths::default();
    paths.push(path_of(
        (start_time, end_time),
        encoded_polyline,
        osrm_confidence,
        point_count,
        [match_status, grade],
        None,
    ));
    paths.json().to_owned()
}

/// Takes a device with its paths, as `_paths_json` has written them, into the document `_fleet_json`.
#[pg_extern(immutable, parallel_safe)]
fn _add_device(
    mut devices: Internal,
    device_id: &str,
    paths: &str,
    call: pg_sys::FunctionCallInfo,
) -> Internal {
    aggregate::state::<Fleet>(&mut devices, call).push(device_id, paths);
    devices
}

/// The document `_fleet_json`, which has no devices if there were none.
#[pg_extern(sql = "
    CREATE FUNCTION _written_fleet(devices internal) RETURNS json
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';")]
fn _written_fleet(devices: Internal) -> &'static str {
    aggregate::held(devices).map_or(page::NO_FLEET, Fleet::json)
}

/// The document of a page around its paths and tails.
#[pg_extern(sql = "
    CREATE FUNCTION _page_json(device text, paths text, tails text, cached boolean, delay_ms bigint) RETURNS json
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';")]
fn _page_json(
    device: &str,
    paths: Option<&str>,
    tails: Option<&str>,
    cached: bool,
    delay_ms: i64,
) -> String {
    page::page_json(device, paths, tails, cached, delay_ms)
}

/// Text that is known to be JSON, without the check that a cast makes of it, nor a copy: in memory, the two
/// types are the same.
#[pg_extern(sql = "
    CREATE FUNCTION _known_json(document text) RETURNS json
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';")]
fn _known_json(document: AnyElement) -> AnyElement {
    document
}

fn path_of<'row>(
    (start, end): (TimestampWithTimeZone, TimestampWithTimeZone),
    line: &'row str,
    confidence: Option<f64>,
    points: i32,
    [status, grade]: [&'row str; 2],
    reason: Option<&'row str>,
) -> Path<'row> {
    Path {
        start: backend::micros(start),
        end: backend::micros(end),
        line,
        confidence,
        points,
        status,
        grade,
        reason,
    }
}
