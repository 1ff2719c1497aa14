//! From a device's claimed windows to jobs: the points of each window and its context.

use std::sync::Arc;

use pgrx::datum::Uuid;

use super::claiming::Claim;
use super::seams::Seams;
use crate::backend;
use crate::error::Error;
use crate::store::{self, Delay, DeviceWindow, Group, Holders, Row, RowId, Source, Span};
use crate::track::{self, Fix, Fixes, KnownSeam, LineEnd, Micros, Recipe};

/// So much of a device's time one thread works off in a row. Jobs share no slot, which each would match for itself.
const JOB: Micros = 45 * 60_000_000;

/// A claimed window with what was read of its own points.
#[derive(Debug)]
pub struct Target {
    pub window: DeviceWindow,
    pub batch: Uuid,
    pub retries: i32,
    /// All its points are to name its batch, those of an earlier one too.
    fresh: bool,
    /// It had settled before.
    pub again: bool,
    /// All points of the window, usable or not.
    pub points: usize,
    pub rejected: usize,
    /// Points to be marked, by source.
    pub marks: Vec<Vec<RowId>>,
    /// First and last moment that something is new at.
    pub new: Option<(Micros, Micros)>,
    pub delay: Delay,
    /// Batches of other windows that its unprocessed points were in before they were moved.
    pub left: Vec<Uuid>,
    /// When it settles, if it is open.
    pub settles: Option<Micros>,
    /// The one that the device is in.
    pub group: Group,
}

/// Windows of one device that lie close together, with the points that decide them.
#[derive(Debug)]
pub struct Job {
    pub targets: Vec<Target>,
    /// Points of all the windows' views; two jobs of one device may share them.
    pub fixes: Arc<Fixes>,
    /// How many of them count for this job.
    pub share: usize,
    /// The window is open, and only what came after its line ended is to be matched.
    pub onward: Option<Box<LineEnd>>,
    /// What the device's last run ended with.
    pub seam: Option<KnownSeam>,
}

impl Target {
    pub fn new(claim: Claim, sources: usize) -> Self {
        Self {
            again: claim.is_again(),
            window: claim.window,
            batch: claim.known.batch,
            retries: claim.known.retries,
            fresh: claim.known.new,
            points: 0,
            rejected: 0,
            marks: vec![Vec::new(); sources],
            new: None,
            delay: Delay::default(),
            left: Vec::new(),
            settles: claim.settles,
            group: claim.group,
        }
    }

    /// Takes in a point of the window.
    pub fn take(&mut self, source: usize, row: &Row, now: Micros) {
        self.points += 1;
        self.rejected += usize::from(row.fix.is_none());
        if !row.processed || self.fresh {
            self.marks[source].push(row.id);
        }
        if !row.processed {
            self.take_new(row.time, row.earlier_batch, now);
        }
    }

    /// Notes an unprocessed point. One that the window had before, or may have had, may have been anywhere in it.
    fn take_new(&mut self, time: Micros, earlier_batch: Option<Uuid>, now: Micros) {
        let (first, last) = match earlier_batch.is_some_and(|b| b == self.batch || self.fresh) {
            true => (self.window.span.start, self.window.span.end - 1),
            false => (time, time),
        };
        let (low, high) = self.new.unwrap_or((first, last));
        self.new = Some((low.min(first), high.max(last)));
        self.delay.count(now - time);
        self.left.extend(
            earlier_batch.filter(|batch| *batch != self.batch && !self.left.contains(batch)),
        );
    }
}

impl Job {
    /// Whether what an earlier run knew of seams is good for it, and what it finds for the next: one that matches once
    /// more what had settled asks about all anew.
    pub fn keeps_seams(&self) -> bool {
        self.onward.is_none() && !self.targets.iter().any(|target| target.again)
    }
}

/// What was read of a device.
#[derive(Debug, Default)]
pub struct Read {
    pub jobs: Vec<Job>,
    /// Windows without points, while a source that may hold some is set aside.
    pub unread: Vec<Target>,
}

/// What is looked up for all devices of a round at once.
pub struct LookedUp {
    /// Which sources hold what is to be read of them.
    holders: Holders,
    seams: Seams,
}

/// Looks it up of devices, each of which comes with its claimed windows.
pub fn look_up(
    recipe: &Recipe,
    sources: &[Source],
    devices: &[Vec<Claim>],
) -> Result<LookedUp, Error> {
    let mut spans = Vec::new();
    for claims in devices {
        let (first, last) = (&claims[0].window, &claims[claims.len() - 1].window);
        spans.push(Span {
            device: &first.device,
            from: track::view(first.span, recipe).0,
            to: track::view(last.span, recipe).1,
        });
    }
    let names: Vec<&str> = spans.iter().map(|span| span.device).collect();
    Ok(LookedUp {
        holders: store::holders(sources, &spans)?,
        seams: Seams::known(&names)?,
    })
}

/// Reads the points of one device's claimed windows and cuts the work into jobs.
pub fn read(
    recipe: &Recipe,
    sources: &[Source],
    looked_up: &LookedUp,
    claims: Vec<Claim>,
) -> Result<Read, Error> {
    let mut read = Read::default();
    let Some(device) = claims.first().map(|claim| claim.window.device.clone()) else {
        return Ok(read);
    };
    let (holders, seam) = (&looked_up.holders, looked_up.seams.of(&device));
    for scan in scans(recipe, claims) {
        let (mut targets, fixes) = read_scan(recipe, sources, holders, scan)?;
        if (sources.iter()).any(|s| s.is_aside() && holders.may_hold(s, &device)) {
            let (unread, rest) = targets.into_iter().partition(|t| t.points == 0);
            read.unread.extend::<Vec<_>>(unread);
            targets = rest;
        }
        read.jobs.extend(jobs(targets, fixes.into(), seam));
    }
    Ok(read)
}

/// Windows whose views touch each other are read in one scan.
fn scans(recipe: &Recipe, claims: Vec<Claim>) -> Vec<Vec<Claim>> {
    let mut scans: Vec<Vec<Claim>> = Vec::new();
    let mut reach = Micros::MIN;
    for claim in claims {
        let (from, to) = track::view(claim.window.span, recipe);
        match scans.last_mut() {
            Some(scan) if from <= reach => scan.push(claim),
            _ => scans.push(vec![claim]),
        }
        reach = to;
    }
    scans
}

/// Reads what some windows are decided by, in one scan a source.
fn read_scan(
    recipe: &Recipe,
    sources: &[Source],
    holders: &Holders,
    claims: Vec<Claim>,
) -> Result<(Vec<Target>, Vec<Fix>), Error> {
    let (Some(first), Some(last)) = (claims.first(), claims.last()) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let device = first.window.device.clone();
    let from = track::view(first.window.span, recipe).0;
    let to = track::view(last.window.span, recipe).1;
    let now = backend::now();
    let mut targets: Vec<Target> = claims
        .into_iter()
        .map(|claim| Target::new(claim, sources.len()))
        .collect();
    let mut fixes: Vec<Fix> = Vec::new();
    for (nth, source) in sources
        .iter()
        .enumerate()
        .filter(|(nth, _)| holders.holds(*nth, &device))
    {
        for row in store::read_points(source, &device, (from, to))? {
            fixes.extend(row.fix);
            if let Some(target) = target_at(&mut targets, row.time) {
                target.take(nth, &row, now);
            }
        }
    }
    Ok((targets, fixes))
}

/// Cuts windows that were read together into jobs. Those with new points come first, among the jobs and in each: where a
/// round has no time for all, each round does some of them. The others would be claimed with them again and again.
fn jobs(targets: Vec<Target>, fixes: Fixes, seam: Option<KnownSeam>) -> Vec<Job> {
    let parts = parts(targets);
    let share = fixes.all().len() / parts.len().max(1);
    let fixes = Arc::new(fixes);
    let job = |mut targets: Vec<Target>| {
        targets.sort_by_key(|target| target.new.is_none());
        Job {
            targets,
            fixes: fixes.clone(),
            share,
            onward: None,
            seam,
        }
    };
    let mut jobs: Vec<Job> = parts.into_iter().map(job).collect();
    jobs.sort_by_key(|job| job.targets[0].new.is_none());
    jobs
}

/// Cuts windows where slots meet.
fn parts(targets: Vec<Target>) -> Vec<Vec<Target>> {
    let slot = |target: &Target| track::slot_at(target.window.span.start).start;
    let mut parts: Vec<Vec<Target>> = Vec::new();
    for target in targets {
        match parts.last_mut() {
            Some(part) if slot(&target) - slot(&part[0]) < JOB => part.push(target),
            _ => parts.push(vec![target]),
        }
    }
    parts
}

/// The target whose window holds an instant; they ascend.
fn target_at(targets: &mut [Target], time: Micros) -> Option<&mut Target> {
    let at = targets.partition_point(|t| t.window.span.end <= time);
    targets.get_mut(at).filter(|t| t.window.span.holds(time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::Window;

    const MINUTE: Micros = 60_000_000;
    const RECIPE: Recipe = Recipe {
        window: 5 * MINUTE,
        max_gap: 5 * MINUTE,
        gps_accuracy: None,
        tolerance: 1.0,
    };

    /// Windows of five minutes that begin at these minutes.
    fn claims(minutes: &[i64]) -> Vec<Claim> {
        let span = |minute: i64| Window {
            start: minute * MINUTE,
            end: (minute + 5) * MINUTE,
        };
        let window = |minute: &i64| DeviceWindow {
            device: "a".into(),
            span: span(*minute),
        };
        minutes.iter().map(window).map(Claim::of).collect()
    }

    fn targets(minutes: &[i64]) -> Vec<Target> {
        let claims = claims(minutes).into_iter();
        claims.map(|claim| Target::new(claim, 1)).collect()
    }

    #[test]
    fn windows_that_share_points_are_read_in_one_scan() {
        // A slot's view begins five minutes before it and ends ten after it.
        let sizes = |minutes: &[i64]| -> Vec<usize> {
            scans(&RECIPE, claims(minutes))
                .iter()
                .map(Vec::len)
                .collect()
        };
        assert_eq!(sizes(&[0, 5, 35]), [3]);
        assert_eq!(sizes(&[0, 5, 60, 1440]), [2, 1, 1]);
        assert!(sizes(&[]).is_empty());
    }

    fn begins(jobs: &[Job]) -> Vec<Vec<Micros>> {
        let of = |job: &Job| (job.targets.iter().map(|t| t.window.span.start / MINUTE)).collect();
        jobs.iter().map(of).collect()
    }

    #[test]
    fn jobs_hold_all_windows_once_in_their_order_and_share_no_slot() {
        let minutes: Vec<i64> = (1..20).map(|n| 5 * n).collect();
        let jobs = jobs(targets(&minutes), Fixes::default(), None);
        let begins = begins(&jobs);
        let ends: Vec<i64> = begins.iter().map(|job| job[job.len() - 1] + 5).collect();
        assert_eq!(ends, [45, 90, 100]);
        assert_eq!(begins.concat(), minutes);
    }

    #[test]
    fn windows_with_new_points_come_before_those_that_they_reach() {
        let minutes: Vec<i64> = (0..18).map(|n| 5 * n).collect();
        let mut targets = targets(&minutes);
        for nth in [11, 13] {
            targets[nth].new = Some((0, 0));
        }
        let begins = begins(&jobs(targets, Fixes::default(), None));
        assert_eq!(begins[0], [55, 65, 45, 50, 60, 70, 75, 80, 85]);
        assert_eq!(begins[1], [0, 5, 10, 15, 20, 25, 30, 35, 40]);
    }

    #[test]
    fn a_point_counts_for_the_window_that_holds_it() {
        let mut targets = targets(&[0, 10]);
        let mut start_at = |minute: i64| {
            target_at(&mut targets, minute * MINUTE).map(|t| t.window.span.start / MINUTE)
        };
        assert_eq!(start_at(0), Some(0));
        assert_eq!(start_at(5), None);
        assert_eq!(start_at(14), Some(10));
        assert_eq!(start_at(15), None);
        assert_eq!(start_at(-1), None);
    }
}
