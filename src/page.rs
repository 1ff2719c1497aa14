//! The JSON of a page. Most of what a page costs is writing its text: here it is written once, straight
//! into one string, where Postgres' own functions look up every column's type for every row.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Microseconds from the Unix epoch to Postgres's own, 2000-01-01.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// A path as an element of the documents' `paths`.
#[pg_extern(immutable, parallel_safe)]
fn _path_json(
    start_time: TimestampWithTimeZone,
    end_time: TimestampWithTimeZone,
    encoded_polyline: &str,
    osrm_confidence: Option<f64>,
    point_count: i32,
    match_status: &str,
    grade: &str,
) -> String {
    path_json(
        pg_sys::TimestampTz::from(start_time),
        pg_sys::TimestampTz::from(end_time),
        encoded_polyline,
        osrm_confidence,
        point_count,
        [match_status, grade],
    )
}

/// Text that is known to be JSON, without the check that a cast makes of it. (In memory, the two types
/// are the same; pgrx has no way to return text as json but to be told so.)
#[pg_extern(sql = "
    CREATE FUNCTION _known_json(document text) RETURNS json
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';")]
fn _known_json(document: String) -> String {
    document
}

/// The document of a page: lines of [`_path_json`] between what else it says.
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
    let lines = [paths, tails].into_iter().flatten().collect::<Vec<_>>();
    let length = lines.iter().map(|line| line.len() + 2).sum::<usize>();
    let mut json = String::with_capacity(length + device.len() + 100);
    json.push_str(r#"{"device": "#);
    push_string(&mut json, device);
    json.push_str(r#", "paths": ["#);
    for (place, line) in lines.iter().enumerate() {
        if place > 0 {
            json.push_str(",\n");
        }
        json.push_str(line);
    }
    // Writing to a string cannot fail.
    let _ = write!(
        json,
        r#"], "cached": {cached}, "processing_delay_ms": {delay_ms}}}"#
    );
    json
}

/// Times are microseconds since Postgres' epoch.
fn path_json(
    start: i64,
    end: i64,
    line: &str,
    confidence: Option<f64>,
    points: i32,
    [status, grade]: [&str; 2],
) -> String {
    let mut json = String::with_capacity(line.len() + 240);
    json.push_str(r#"{"start_time":"#);
    push_time(&mut json, start);
    json.push_str(r#","end_time":"#);
    push_time(&mut json, end);
    json.push_str(r#","encoded_polyline":"#);
    push_string(&mut json, line);
    let _ = match confidence.filter(|score| score.is_finite()) {
        Some(score) => write!(json, r#","osrm_confidence":{score}"#),
        None => write!(json, r#","osrm_confidence":null"#),
    };
    let _ = write!(json, r#","point_count":{points},"match_status":"#);
    push_string(&mut json, status);
    json.push_str(r#","grade":"#);
    push_string(&mut json, grade);
    json.push('}');
    json
}

/// A moment as Postgres writes it in JSON in a session of time zone UTC; null for an infinity.
fn push_time(json: &mut String, micros: i64) {
    match micros
        .checked_add(POSTGRES_EPOCH)
        .and_then(DateTime::from_timestamp_micros)
    {
        Some(moment) => {
            json.push('"');
            json.push_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, false));
            json.push('"');
        }
        None => json.push_str("null"),
    }
}

/// A string with its quotes; only what JSON demands is escaped.
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        json.push_str(&text[plain..at]);
        plain = at + 1;
        let _ = match byte {
            b'"' | b'\\' => write!(json, "\\{}", char::from(byte)),
            _ => write!(json, "\\u{byte:04x}"),
        };
    }
    json.push_str(&text[plain..]);
    json.push('"');
}
