//! From what became of windows to rows: collected, then written in lots.

use std::collections::{BTreeMap, BTreeSet};

use super::choosing::PassedOver;
use super::claiming::Claim;
use super::live::WithNew;
use super::matching::{Attempted, Done};
use super::reading::Target;
use super::rows::{count, new_points, onward_stops, paths, pause, spans, stops};
use super::seams::Seams;
use crate::backend;
use crate::error::{Error, Failure};
use crate::settings::Settings;
use crate::store::{self, BatchRow, Checks, DeviceWindow, RunRow, Source, Status};
use crate::track::{self, Micros};

/// Points that are marked in one go, whatever the number of windows.
const POINTS: usize = 100_000;

/// Outcomes that wait to be written.
pub struct Outbox<'run> {
    settings: &'run Settings,
    sources: &'run [Source],
    checks: &'run Checks,
    /// All windows of the round. Those of one device were read in one scan, so none of them can
    /// have missed another's points; those that come back untried become due.
    claimed: BTreeMap<DeviceWindow, Option<(Micros, Micros)>>,
    waiting: Vec<Attempted>,
    untried: Vec<DeviceWindow>,
    /// What devices' jobs ended with.
    seams: Seams,
    /// Open windows whose new points are left for later; they are on record by themselves.
    left: Vec<DeviceWindow>,
    /// The round's time is up: what is untried is not put off, the next round begins with it.
    winding_up: bool,
    /// Windows with new points that are left for the next round.
    left_over: Vec<WithNew>,
    /// Windows of this round that points were moved away from, to another device.
    moved_from: Vec<DeviceWindow>,
    /// Devices of which not even that can be written that they wait, or are due again.
    pub unrecorded: PassedOver,
}

impl<'run> Outbox<'run> {
    pub fn new(
        settings: &'run Settings,
        sources: &'run [Source],
        checks: &'run Checks,
        claims: &[Claim],
    ) -> Self {
        let claimed = claims.iter().map(|c| (c.window.clone(), c.new)).collect();
        Self {
            settings,
            sources,
            checks,
            claimed,
            waiting: Vec::new(),
            untried: Vec::new(),
            seams: Seams::default(),
            left: Vec::new(),
            winding_up: false,
            left_over: Vec::new(),
            moved_from: Vec::new(),
            unrecorded: PassedOver::new(),
        }
    }

    /// Takes in what a job came to.
    pub fn put(&mut self, done: Done) {
        self.waiting.extend(done.attempted);
        self.untried.extend(done.untried);
        self.left.extend(done.untried_onward);
        if let Some((device, seam)) = done.seam {
            self.seams.put(device, seam);
        }
    }

    /// Takes in windows that cannot be told from empty ones, for a source is set aside.
    pub fn put_unread(&mut self, targets: Vec<Target>) {
        self.waiting
            .extend(targets.into_iter().map(Attempted::unread));
    }

    pub fn wind_up(&mut self) {
        self.winding_up = true;
    }

    /// Once all is written: windows for the next round, those of the oldest new points first; nothing if this one had
    /// time for all.
    pub fn left_over(&mut self) -> Result<Option<Vec<WithNew>>, Error> {
        let moved_from = std::mem::take(&mut self.moved_from);
        self.make_due(&moved_from)?;
        let mut left_over = std::mem::take(&mut self.left_over);
        left_over.sort_by_key(|(_, (first, _))| *first);
        Ok(self.winding_up.then_some(left_over))
    }

    /// Takes in windows that there is no time for.
    pub fn leave(&mut self, claims: Vec<Claim>) {
        self.untried.extend(claims.into_iter().map(|c| c.window));
    }

    /// Writes what waits, if it is `least` windows or many points, and counts it in the report.
    pub fn write_if(&mut self, least: usize, report: &mut RunRow) -> Result<(), Error> {
        self.put_off_untried(report)?;
        let points: usize = self.waiting.iter().map(|a| a.target.points).sum();
        if self.waiting.len() < least && points < POINTS {
            return Ok(());
        }
        self.seams.keep()?;
        let mut lot = std::mem::take(&mut self.waiting);
        // Rows of a device that come one after the other lie together, and fill the pages of an index.
        lot.sort_unstable_by(|a, b| a.target.window.cmp(&b.target.window));
        match self.checks.attempt(|| self.write_lot(&lot)) {
            Ok(moved_from) => {
                self.moved_from.extend(moved_from);
                count(&lot, report);
                Ok(())
            }
            Err(Error::Failed(failure)) if failure.is_internal() => Err(Error::Failed(failure)),
            Err(_) => self.write_each(lot, report),
        }
    }

    /// Writes window by window, so that what is in the way of one costs that one alone: a row or a
    /// table that somebody holds, a trigger that is against it.
    fn write_each(&mut self, lot: Vec<Attempted>, report: &mut RunRow) -> Result<(), Error> {
        let mut hindered = Vec::new();
        let mut working = vec![false; self.sources.len()];
        for one in lot {
            let slice = std::slice::from_ref(&one);
            match self.checks.attempt(|| self.write_lot(slice)) {
                Ok(moved_from) => {
                    self.moved_from.extend(moved_from);
                    count(slice, report);
                    for (nth, works) in working.iter_mut().enumerate() {
                        *works |= !one.target.marks[nth].is_empty();
                    }
                }
                Err(why) => hindered.push((one, why)),
            }
        }
        for (_, why) in &hindered {
            match why {
                Error::Source(nth, failure) if !working[*nth] && !failure.is_lock() => {
                    self.sources[*nth].set_aside(failure)?;
                }
                _ => {}
            }
        }
        for (one, why) in hindered {
            self.put_off(one.hindered(why), report)?;
        }
        Ok(())
    }

    /// Puts it on record that a window is put off, which touches no other table: that may be what somebody holds.
    /// Where not even this can be written, the run goes on without the device; without the table it cannot.
    fn put_off(&mut self, hindered: Attempted, report: &mut RunRow) -> Result<(), Error> {
        count(std::slice::from_ref(&hindered), report);
        let row = self.batch_row(&hindered);
        let written = self.checks.attempt(|| store::write_batches(&[row]));
        let why = match written.map_err(Failure::from) {
            Ok(()) => return Ok(()),
            Err(why) if why.is_lock() => return Err(Error::Failed(why)),
            Err(why) => why,
        };
        self.tell_unrecorded(hindered.target.window.device, why);
        Ok(())
    }

    /// Makes windows of this round due again. What is in the way of one is no business of others.
    fn make_due(&mut self, windows: &[DeviceWindow]) -> Result<(), Error> {
        if windows.is_empty() {
            return Ok(());
        }
        let checks = self.checks;
        let reopen = |windows: &[DeviceWindow]| checks.attempt(|| store::reopen(windows));
        if reopen(windows).is_ok() {
            return Ok(());
        }
        for window in windows {
            if let Err(why) = reopen(std::slice::from_ref(window)) {
                self.tell_unrecorded(window.device.clone(), Failure::from(why));
            }
        }
        Ok(())
    }

    /// Warns, once for a device.
    fn tell_unrecorded(&mut self, device: String, why: Failure) {
        let what = format!("could not put windows of device \"{device}\" on record");
        if self.unrecorded.insert(device) {
            why.warn(
                &what,
                "Look at the constraints and triggers of processing_batches.",
            );
        }
    }

    /// Returns windows of this round that are to be done once more.
    fn write_lot(&self, attempted: &[Attempted]) -> Result<Vec<DeviceWindow>, Error> {
        let (onward, whole): (Vec<_>, Vec<_>) = attempted.iter().partition(|a| a.is_onward());
        let rows = |part: &[&Attempted]| part.iter().map(|a| self.batch_row(a)).collect::<Vec<_>>();
        store::write_batches(&rows(&whole))?;
        store::write_onward(&rows(&onward))?;

        let whole: Vec<&Attempted> = whole.into_iter().filter(|a| a.is_final()).collect();
        let windows: Vec<_> = whole.iter().map(|a| a.target.window.clone()).collect();
        store::write_stops(&windows, &stops(&whole))?;
        store::write_onward_stops(&onward_stops(&onward))?;
        let done: Vec<&Attempted> = whole.into_iter().chain(onward).collect();
        let changed = store::write_paths(&windows, &paths(&done)?)?;
        if self.settings.notify {
            store::notify(changed)?;
        }
        self.mark(&done)?;
        self.reopen_neighbours(&done)
    }

    /// New points of other windows may have been what finished ones were claimed for: those points are
    /// no longer new, so it must be on record.
    fn put_off_untried(&mut self, report: &mut RunRow) -> Result<(), Error> {
        let mut untried = std::mem::take(&mut self.untried);
        let left = std::mem::take(&mut self.left);
        if self.winding_up {
            untried.extend(left);
            untried.retain(|window| match self.claimed.get(window) {
                Some(Some(new)) => {
                    self.left_over.push((window.clone(), *new));
                    false
                }
                _ => true,
            });
        } else {
            report.windows_deferred += (untried.len() + left.len()) as i32;
        }
        self.make_due(&untried)
    }

    fn batch_row(&self, attempted: &Attempted) -> BatchRow {
        let Attempted {
            target, outcome, ..
        } = attempted;
        let now = backend::now();
        let dropped = outcome.dropped;
        let again = now + pause(self.settings.retry_pause, attempted.retries, target.batch);
        BatchRow {
            batch: target.batch,
            window: target.window.clone(),
            status: attempted.status,
            points: target.points as i32,
            osrm_calls: outcome.osrm_calls as i32,
            started: now - i64::from(attempted.how.millis) * 1000,
            error: attempted.error.clone(),
            retries: attempted.retries,
            next_attempt: if attempted.is_final() { now } else { again },
            context: attempted.is_final().then_some(outcome.context),
            duplicates: dropped.duplicate as i32,
            outliers: (dropped.null_island + dropped.teleport) as i32,
            rejected: target.rejected as i32,
            settles: match attempted.status {
                Status::Completed if attempted.retries > 0 => Some(again),
                Status::Completed => target.settles,
                Status::Pending | Status::Failed => None,
            },
            group: target.group.clone(),
        }
    }

    /// What became of a point that was changed or deleted meanwhile is not known, and it names no batch:
    /// the windows that it may have decided are due again. Open ones settle in any case.
    fn mark(&self, done: &[&Attempted]) -> Result<(), Error> {
        let mut changed = Vec::new();
        for (nth, source) in self.sources.iter().enumerate() {
            let points = done.iter().flat_map(|a| {
                let batch = a.target.batch;
                a.target.marks[nth].iter().map(move |id| (*id, batch))
            });
            changed.extend(store::mark_points(source, &points.collect::<Vec<_>>())?);
        }
        let stale: Vec<_> = (done.iter().map(|a| &a.target))
            .filter(|target| target.settles.is_none() && changed.contains(&target.batch))
            .map(|Target { window, .. }| {
                (window.device.clone(), window.span.start, window.span.end)
            })
            .collect();
        store::reopen(&self.neighbours(&stale)?)
    }

    /// Points may have come after the windows were chosen; finished windows of other rounds that
    /// those reach must be done again, and so must those that points were moved away from.
    fn reopen_neighbours(&self, done: &[&Attempted]) -> Result<Vec<DeviceWindow>, Error> {
        let (open, closed): (Vec<&Target>, Vec<&Target>) =
            (done.iter().map(|a| &a.target)).partition(|target| target.settles.is_some());
        let mut new = new_points(&closed);
        let left = done.iter().flat_map(|Attempted { target, .. }| {
            let device = target.window.device.as_str();
            target.left.iter().map(move |batch| (*batch, device))
        });
        let (own, others): (Vec<_>, Vec<_>) =
            (store::windows_of(left.collect())?.into_iter()).partition(|(own, _)| *own);
        new.extend(spans(own));
        store::reopen(&self.reached(&new)?)?;
        let moved_from = self.reopen_of_others(&spans(others))?;
        // What an open window reaches settles with it.
        let settles: BTreeMap<&str, Micros> = (open.iter())
            .filter_map(|target| Some((target.window.device.as_str(), target.settles?)))
            .collect();
        let reached = self.reached(&new_points(&open))?;
        let with_open = |window: DeviceWindow| {
            let at = *settles.get(window.device.as_str())?;
            Some((window, at))
        };
        store::unsettle(
            &reached
                .into_iter()
                .filter_map(with_open)
                .collect::<Vec<_>>(),
        )?;
        Ok(moved_from)
    }

    /// Does so for windows of other devices, which are ours for that: a worker that has one in hand may have read the points
    /// while they were its. So may this round; its windows are returned.
    fn reopen_of_others(
        &self,
        left: &[(String, Micros, Micros)],
    ) -> Result<Vec<DeviceWindow>, Error> {
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let devices: BTreeSet<String> = left.iter().map(|(device, ..)| device.clone()).collect();
        let devices: Vec<String> = devices.into_iter().collect();
        if store::lock_devices(&devices, devices.len())?.len() < devices.len() {
            return Err(Error::Failed(Failure::lock(
                "a device that points were moved away from is being matched",
            )));
        }
        store::reopen(&self.reached(left)?)?;
        let reach = track::context_reach(&self.settings.recipe);
        let moved_from = |window: &&DeviceWindow| {
            left.iter().any(|(device, start, end)| {
                window.device == *device
                    && window.span.start <= end + reach
                    && window.span.end >= start - reach
            })
        };
        Ok(self.claimed.keys().filter(moved_from).cloned().collect())
    }

    /// Finished windows, not of this round, that new points reach.
    fn reached(&self, new: &[(String, Micros, Micros)]) -> Result<Vec<DeviceWindow>, Error> {
        let mut reached = self.neighbours(new)?;
        reached.retain(|window| !self.claimed.contains_key(window));
        Ok(reached)
    }

    /// Finished windows that were decided by points of these spans, which are of devices.
    fn neighbours(&self, spans: &[(String, Micros, Micros)]) -> Result<Vec<DeviceWindow>, Error> {
        store::neighbours(spans, track::context_reach(&self.settings.recipe))
    }
}
