//! From open windows to jobs: what has come since their lines ended, read for many devices at once.

use std::sync::Arc;

use super::claiming::Claim;
use super::reading::{Job, Target};
use super::settling::settles_at;
use crate::backend;
use crate::error::Error;
use crate::store::{self, DeviceKeys, DeviceWindow, Row, Source, Span};
use crate::track::{Fix, LineEnd, Micros};

const SECOND: Micros = 1_000_000;
/// Points before the new ones that are asked about again, and how old they may be: so much that OSRM
/// sees where the vehicle came from.
const CONTEXT_POINTS: usize = 5;
const CONTEXT: Micros = 120 * SECOND;
/// Points that come later than others by no more than this are in disorder, not late.
const DISORDER: Micros = 30 * SECOND;

/// Where the line of an open window goes on.
struct Onward {
    claim: Claim,
    /// Its last new point.
    newest: Micros,
    /// Until when there is a line, or from when on one is drawn where there is none.
    from: LineEnd,
    /// From where on points are read.
    since: Micros,
}

/// What was read of open windows.
pub struct ReadOnward {
    pub jobs: Vec<Job>,
    /// Windows that must be matched as a whole: points have come late, or are on record no longer.
    pub whole: Vec<Claim>,
    /// Windows without points, while a source that may hold some is set aside.
    pub unread: Vec<Target>,
}

/// Reads what is new of open windows, which come with their first and last new points, and settle after a delay.
pub fn read(
    sources: &[Source],
    claims: Vec<(Claim, (Micros, Micros))>,
    settle_delay: Micros,
) -> Result<ReadOnward, Error> {
    let (onward, mut whole) = begin(claims)?;
    let devices: Vec<&str> = onward.iter().map(Onward::device).collect();
    let keys = store::device_keys(sources, &devices)?;
    let rows = read_rows(sources, &keys, &onward)?;
    let hidden = |device: &str| (sources.iter()).any(|s| s.is_aside() && keys.may_hold(s, device));
    let now = backend::now();
    let (mut jobs, mut unread) = (Vec::new(), Vec::new());
    for (onward, rows) in onward.into_iter().zip(rows) {
        let hidden = hidden(onward.device());
        let is_open =
            |device: &str, newest| settles_at(device, newest, settle_delay, now).is_some();
        let onward = onward.after_what_waits(&rows, is_open);
        match onward.job(sources.len(), rows, now) {
            Ok(job) if job.targets[0].points == 0 && hidden => unread.extend(job.targets),
            Ok(job) => jobs.push(job),
            Err(claim) => whole.push(*claim),
        }
    }
    Ok(ReadOnward {
        jobs,
        whole,
        unread,
    })
}

/// Reads rows of each window, with the number of their source.
fn read_rows(
    sources: &[Source],
    keys: &DeviceKeys,
    onward: &[Onward],
) -> Result<Vec<Vec<(usize, Row)>>, Error> {
    let mut rows: Vec<Vec<(usize, Row)>> = onward.iter().map(|_| Vec::new()).collect();
    for (nth, source) in sources.iter().enumerate() {
        let here: Vec<usize> = (0..onward.len())
            .filter(|at| keys.may_hold(source, onward[*at].device()))
            .collect();
        if here.is_empty() {
            continue;
        }
        let spans: Vec<Span> = here.iter().map(|at| onward[*at].span()).collect();
        for (at, row) in store::read_spans(source, &spans, CONTEXT, CONTEXT_POINTS)? {
            rows[here[at]].push((nth, row));
        }
    }
    Ok(rows)
}

/// Finds out where lines end, and which windows have points from before that.
fn begin(claims: Vec<(Claim, (Micros, Micros))>) -> Result<(Vec<Onward>, Vec<Claim>), Error> {
    let asked: Vec<(&DeviceWindow, Micros)> = claims
        .iter()
        .map(|(claim, (_, newest))| (&claim.window, *newest))
        .collect();
    let line_ends = store::line_ends(&asked)?;
    let (mut onward, mut whole): (Vec<Onward>, Vec<Claim>) = (Vec::new(), Vec::new());
    for ((claim, (first, newest)), line_end) in claims.into_iter().zip(line_ends) {
        // The line of the window before may be drawn at the same time.
        let before = (onward.last())
            .filter(|o| o.claim.window.device == claim.window.device)
            .map(|o| o.newest);
        let (drawn, path) = line_end.map_or((None, None), |end| (Some(end.time), end.path));
        let from = (drawn.max(before))
            .unwrap_or(Micros::MIN)
            .max(first - CONTEXT);
        if first < from - DISORDER {
            whole.push(claim);
            continue;
        }
        let mut since = first.min(from);
        if claim.known.new {
            since = since.min(claim.window.span.start);
        }
        onward.push(Onward {
            claim,
            newest,
            from: LineEnd { time: from, path },
            since,
        });
    }
    Ok((onward, whole))
}

impl Onward {
    fn device(&self) -> &str {
        &self.claim.window.device
    }

    fn span(&self) -> Span<'_> {
        Span {
            device: self.device(),
            from: self.since,
            to: self.claim.window.span.end,
        }
    }

    /// Where points wait that lie before the window, a line of theirs is yet to come, and theirs is not drawn here,
    /// too. `is_open` says of the newest of them whether that is provisional: it ends with them then. Otherwise it is
    /// drawn as a whole, up to one of the first points beyond the edge.
    fn after_what_waits(
        self,
        rows: &[(usize, Row)],
        is_open: impl Fn(&str, Micros) -> bool,
    ) -> Self {
        let start = self.claim.window.span.start;
        let fixes = || rows.iter().filter(|(_, row)| row.fix.is_some());
        let before = fixes().filter(|(_, row)| !row.processed && row.time < start);
        let Some(last) = before.map(|(_, row)| row.time).max() else {
            return self;
        };
        let first = fixes()
            .map(|(_, row)| row.time)
            .filter(|time| *time >= start);
        let end = match is_open(self.device(), last) {
            true => last,
            false => first.min().unwrap_or(last),
        };
        let from = LineEnd {
            time: self.from.time.max(end),
            ..self.from
        };
        Self { from, ..self }
    }

    /// The job, or the claim again where the window has to be matched as a whole.
    fn job(self, sources: usize, rows: Vec<(usize, Row)>, now: Micros) -> Result<Job, Box<Claim>> {
        let span = self.claim.window.span;
        let inside = |row: &Row| span.holds(row.time);
        if self.claim.known.new && rows.iter().any(|(_, row)| row.processed && inside(row)) {
            return Err(Box::new(self.claim));
        }
        let mut target = Target::new(self.claim, sources);
        let mut fixes: Vec<Fix> = Vec::new();
        for (nth, row) in rows {
            fixes.extend(row.fix);
            if inside(&row) && !row.processed {
                target.take(nth, &row, now);
            }
        }
        let share = fixes.len();
        Ok(Job {
            targets: vec![target],
            fixes: Arc::new(fixes.into()),
            share,
            onward: Some(Box::new(self.from)),
            seam: None,
        })
    }
}
