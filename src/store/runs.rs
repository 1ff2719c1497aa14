//! The log of runs, and the steps of upkeep that a run takes on its way.

use super::groups::Group;
use super::statement::{execute, rows};
use crate::backend::{now, system_time, system_timestamp, timestamp};
use crate::error::Error;
use crate::osrm::client::LeftOut;
use crate::track::Micros;

/// Points older than this are no live ones: their age says nothing about the worker.
const LIVE: Micros = 600_000_000;

/// How old live points were when they were taken in.
#[derive(Debug, Default, Clone, Copy)]
pub struct Delay {
    points: i64,
    total: Micros,
    greatest: Micros,
}

impl Delay {
    /// Takes in the age of a point, if it is a live one.
    pub fn count(&mut self, age: Micros) {
        if (0..LIVE).contains(&age) {
            self.add(Self {
                points: 1,
                total: age,
                greatest: age,
            });
        }
    }

    pub fn add(&mut self, other: Self) {
        self.points += other.points;
        self.total += other.total;
        self.greatest = self.greatest.max(other.greatest);
    }

    /// Mean and greatest age in milliseconds, if there were live points.
    fn millis(self) -> (Option<f64>, Option<f64>) {
        if self.points == 0 {
            return (None, None);
        }
        let mean = self.total as f64 / self.points as f64;
        (Some(mean / 1000.0), Some(self.greatest as f64 / 1000.0))
    }
}

/// What a run's row is to say; counts are added to those of an earlier round of the same run.
#[derive(Debug, Default, Clone)]
pub struct RunRow {
    pub started: Micros,
    pub windows_completed: i32,
    pub windows_failed: i32,
    pub windows_deferred: i32,
    pub points: i64,
    pub rejected: i64,
    pub paths: i32,
    pub osrm_calls: i32,
    pub millis: i32,
    pub osrm_error: Option<String>,
    /// When OSRM wants to be asked again, if it said so.
    pub osrm_resume: Option<Micros>,
    pub left_out: Vec<ServerLeftOut>,
    pub delay: Delay,
    /// Why a table did not say the group of a device.
    pub group_error: Option<String>,
    /// Pages that the search for old points looked at in vain, if it was made to its end.
    pub search_pages: Option<i64>,
}

/// A server that is left out, of a group.
#[derive(Debug, Clone)]
pub struct ServerLeftOut {
    pub group: Group,
    pub server: LeftOut,
}

/// Records a run, or a further round of run `id`; returns the run's id, or nothing where a trigger swallowed it.
///
/// With `last`, the row also says what still waits, if that was searched for.
pub fn record_run(id: Option<i64>, run: &RunRow, last: bool) -> Result<Option<i64>, Error> {
    let (mean, greatest) = run.delay.millis();
    let servers = || run.left_out.iter().map(|out| &out.server);
    let left_out = |text: fn(&LeftOut) -> &str| servers().map(text).collect::<Vec<_>>();
    let out_since = servers().map(|s| system_timestamp(s.since));
    let out_until = servers().map(|s| s.until.map(system_timestamp));
    let at_its_wish = servers().map(|s| s.at_its_wish);
    let groups = run.left_out.iter().map(|out| out.group.clone());
    let ids = rows(
        "record the run",
        include_str!("record_run.sql"),
        &[
            id.into(),
            timestamp(run.started).into(),
            run.windows_completed.into(),
            run.windows_failed.into(),
            run.windows_deferred.into(),
            run.points.into(),
            run.rejected.into(),
            run.paths.into(),
            run.osrm_calls.into(),
            run.millis.into(),
            run.osrm_error.clone().into(),
            mean.into(),
            greatest.into(),
            last.into(),
            run.osrm_resume.map(timestamp).into(),
            run.search_pages.into(),
            left_out(|s| &s.server).into(),
            left_out(|s| &s.why).into(),
            out_since.collect::<Vec<_>>().into(),
            out_until.collect::<Vec<_>>().into(),
            at_its_wish.collect::<Vec<_>>().into(),
            groups.collect::<Vec<_>>().into(),
            run.group_error.clone().into(),
        ],
        |row| row.get(1),
    )?;
    Ok(ids.first().copied())
}

/// What the last run saw of OSRM.
#[derive(Debug, Default)]
pub struct OsrmAsSeen {
    /// Why and until when OSRM as a whole wants to be left alone.
    pub pause: Option<(String, Micros)>,
    pub left_out: Vec<ServerLeftOut>,
}

/// What the last run saw of OSRM.
pub fn osrm_as_seen() -> Result<OsrmAsSeen, Error> {
    let mut seen = OsrmAsSeen::default();
    let found = rows(
        "look up the last run",
        include_str!("osrm_as_seen.sql"),
        &[],
        |row| {
            let pause = match (row.maybe(1)?, row.maybe_time(2)?) {
                (Some(why), Some(until)) => Some((why, until)),
                _ => None,
            };
            let left_out = match row.maybe(3)? {
                Some(server) => Some(ServerLeftOut {
                    group: row.maybe(8)?,
                    server: LeftOut {
                        server,
                        why: row.get(4)?,
                        since: system_time(row.time(5)?),
                        until: row.maybe_time(6)?.map(system_time),
                        at_its_wish: row.get(7)?,
                    },
                }),
                None => None,
            };
            Ok((pause, left_out))
        },
    )?;
    for (pause, left_out) in found {
        seen.pause = pause;
        seen.left_out.extend(left_out);
    }
    Ok(seen)
}

/// What has ended by now.
pub fn snapshot() -> Result<String, Error> {
    let snapshots = rows(
        "look what has ended",
        "SELECT pg_current_snapshot()::text",
        &[],
        |row| row.get(1),
    )?;
    Ok(snapshots.into_iter().next().unwrap_or_default())
}

/// Whether runs other than `run` have stored something since a snapshot.
pub fn others_have_run(since: &str, run: Option<i64>) -> Result<bool, Error> {
    let answers = rows(
        "look for other runs",
        include_str!("others_have_run.sql"),
        &[since.into(), run.into()],
        |row| row.get(1),
    )?;
    Ok(answers.first().copied().unwrap_or(true))
}

/// When all that may wait was searched last, however long that takes, if it is too early for that again.
pub fn last_search() -> Result<Option<Micros>, Error> {
    let searches = rows(
        "look up the last search",
        include_str!("last_search.sql"),
        &[timestamp(now()).into()],
        |row| row.maybe_time(1),
    )?;
    Ok(searches.first().copied().flatten())
}

/// Lets jobs put up to `most` further windows on record as pending; says whether they have more to
/// look through.
pub fn advance_jobs(most: usize) -> Result<bool, Error> {
    let more = rows(
        "advance jobs",
        "SELECT @extschema@._advance_jobs($1)",
        &[(most as i32).into()],
        |row| row.get(1),
    )?;
    Ok(more.first().copied().unwrap_or(false))
}

/// Deletes notes of what was read that serve nothing any more.
pub fn forget_reads() -> Result<(), Error> {
    execute(
        "delete old notes of what was read",
        "SELECT @extschema@._forget_reads()",
        &[],
    )
}

/// Stores which paths were read lately; says how many paths that concerns.
pub fn store_reads() -> Result<i64, Error> {
    let counts = rows(
        "store which paths were read",
        "SELECT @extschema@._store_reads()",
        &[],
        |row| row.get(1),
    )?;
    Ok(counts.first().copied().unwrap_or(0))
}
