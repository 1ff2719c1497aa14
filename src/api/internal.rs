//! Functions that only the extension's own SQL calls.

use chrono::DateTime;
use pgrx::AnyElement;
use pgrx::datum::{Interval, Json, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::backend::interval;
use crate::error::Error;
use crate::lines;
use crate::osrm::client::{check_profile, check_servers, check_settings};
use crate::settings::Settings;
use crate::store::{self, Checks, Fragments};
use crate::track;
use crate::{backend, cron, settings};

/// Whether the worker may work.
#[pg_extern(stable, parallel_safe)]
fn _enabled() -> bool {
    settings::enabled()
}

#[pg_extern(stable, parallel_safe)]
fn _window() -> Interval {
    interval(settings::window())
}

#[pg_extern(stable, parallel_safe)]
fn _max_gap() -> Interval {
    interval(settings::max_gap())
}

#[pg_extern(stable, parallel_safe)]
fn _look_back() -> Interval {
    interval(settings::look_back())
}

#[pg_extern(stable, parallel_safe)]
fn _context_reach() -> Interval {
    interval(track::context_reach(&Settings::read().recipe))
}

/// Addresses of the servers that are set; none where one of them cannot be used.
#[pg_extern(stable, parallel_safe)]
fn _osrm_servers() -> Vec<String> {
    check_servers(&Settings::read().client.servers).unwrap_or_default()
}

/// Why no server can be asked by the settings: what the error of a run says; null if one can.
#[pg_extern(stable, parallel_safe)]
fn _osrm_problem() -> Option<String> {
    let set = Settings::read().client;
    let bad = check_settings(&set.servers, &set.profile).err()?;
    let report = ErrorReport::from(Error::BadSetting(bad));
    Some(report.message().to_string())
}

/// Addresses of the servers of a group of devices; an error tells what is wrong with one.
#[pg_extern(immutable, parallel_safe, strict)]
fn _server_list(servers: &str) -> Result<Vec<String>, ErrorReport> {
    Ok(check_servers(servers).map_err(|bad| Error::BadArgument {
        name: "osrm_url",
        why: bad.describe(),
        hint: "Name servers such as http://10.0.0.1:5000, with commas or blanks between them.",
    })?)
}

/// Whether a text may be the profile of a group: an error if not.
#[pg_extern(immutable, parallel_safe, strict)]
fn _is_profile(profile: &str) -> Result<bool, ErrorReport> {
    check_profile(profile).map_err(|why| Error::BadArgument {
        name: "profile",
        why,
        hint: "Name the profile as OSRM's URL has it, such as driving.",
    })?;
    Ok(true)
}

/// The row of pg_class of a relation, whoever hides it from queries; null if there is none.
#[pg_extern(sql = "
    CREATE FUNCTION _relation(relation oid) RETURNS pg_catalog.pg_class
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';")]
fn _relation(relation: pg_sys::Oid) -> Option<AnyElement> {
    backend::relation(relation)
}

/// What a query over a source says, as a JSON array: $1 a device, $2 and $3 a range of times, $4 the
/// window's length, $5 a number. Null where the source fails.
#[pg_extern(sql = "
    CREATE FUNCTION _ask_source(fragments json, query text, device_id text DEFAULT NULL,
                                from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
                                most integer DEFAULT NULL, for_reader boolean DEFAULT false) RETURNS json
    LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';")]
fn _ask_source(
    fragments: Json,
    query: &str,
    device_id: Option<&str>,
    from_time: Option<TimestampWithTimeZone>,
    to_time: Option<TimestampWithTimeZone>,
    most: Option<i32>,
    for_reader: bool,
) -> Result<Option<String>, ErrorReport> {
    let args = [
        device_id.into(),
        from_time.into(),
        to_time.into(),
        _window().into(),
        most.into(),
    ];
    let fragments = Fragments::new(fragments.0);
    Ok(store::ask_source(&fragments, query, &args, for_reader)?)
}

/// Refuses a transaction that a procedure cannot commit, before anything is done: `instead` serves there.
#[pg_extern(volatile, parallel_unsafe, strict)]
fn _require_commits(call: String, instead: String) -> Result<(), ErrorReport> {
    if backend::may_commit() {
        Ok(())
    } else {
        Err(Error::CannotCommit { call, instead }.into())
    }
}

/// Whether the transaction has written nothing so far but notes of what was read.
#[pg_extern(volatile, parallel_unsafe)]
fn _writes_but_notes() -> bool {
    backend::has_written_but_notes()
}

/// Says that what was written last is such a note, as was all before it: the commit waits for nothing.
#[pg_extern(volatile, parallel_unsafe)]
fn _has_noted() {
    backend::has_noted();
}

/// Tables that checks wait for, which are put off to the end of the transaction.
#[pg_extern(volatile, parallel_unsafe)]
fn _put_off() -> Result<Vec<pg_sys::Oid>, ErrorReport> {
    Ok(Checks::tables()?)
}

/// Makes checks that are put off, but for those that wait for a change of these tables.
#[pg_extern(volatile, parallel_unsafe, strict)]
fn _make_checks(but: Vec<pg_sys::Oid>) -> Result<(), ErrorReport> {
    Ok(Checks::but(&but)?.make()?)
}

/// When a schedule of pg_cron runs next; null where it cannot be read.
#[pg_extern(immutable, parallel_safe, strict)]
fn _next_run(
    schedule: &str,
    after: default!(TimestampWithTimeZone, "pg_catalog.now()"),
) -> Option<TimestampWithTimeZone> {
    let after = DateTime::from_timestamp_micros(backend::micros(after))?;
    let next = cron::next_run(schedule, after)?;
    Some(backend::timestamp(next.timestamp_micros()))
}

/// Longitude and latitude of an encoded line's last vertex; null if it has none, or cannot be decoded.
#[pg_extern(immutable, parallel_safe, strict)]
fn _line_end(encoded: &str) -> Option<Vec<f64>> {
    lines::decode(encoded).last().map(|place| place.to_vec())
}

/// Metres along an encoded line; none, if it cannot be decoded.
#[pg_extern(immutable, parallel_safe, strict)]
fn _line_length(encoded: &str) -> f64 {
    lines::length(encoded)
}

/// Lines of a trip, those that meet joined, without a share of the first one and of the last one.
#[pg_extern(immutable, parallel_safe, strict)]
fn _join_lines(encoded: Vec<String>, head: f64, tail: f64) -> Vec<String> {
    lines::join(&encoded, head, tail)
}

/// A line of another store, of so many decimals, as it is stored here; null where it is no line.
#[pg_extern(immutable, parallel_safe, strict)]
fn _imported_line(encoded: &str, decimals: i32) -> Option<String> {
    lines::take_over(encoded, decimals.try_into().ok()?)
}
