//! A run: claim windows, read their points, match them on threads, write what became of them.
//!
//! The pipeline decides the order of things and owns none of the means: SQL is in `store`, HTTP
//! in `osrm::client`, the line in `track`.

mod backlog;
mod choosing;
mod claiming;
mod due;
mod ending;
mod groups;
mod health;
mod held;
mod live;
mod matching;
mod membership;
mod naming;
mod onward;
mod reading;
mod round;
mod rows;
mod seams;
mod search;
mod settling;
mod windows;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pgrx::datum::Uuid;

pub use health::ask_health;

use crate::backend::{self, Options};
use crate::error::Error;
use crate::osrm::reply::Away;
use crate::settings::{self, Settings};
use crate::store::{self, Checks, Group, RunRow, Source};
use crate::track::Micros;
use choosing::{Enough, PassedOver};
use claiming::Claim;
use groups::Groups;
use live::WithNew;
use membership::Membership;
use round::{Bounds, LOT, Round, collect, most_of_a_device, round_time};
use search::Search;
use writing::Outbox;

/// Windows that are claimed at a time: enough to keep all threads busy, little enough that the
/// first results are written soon.
const ROUND: usize = 500;
/// Steps that an operator calls by hand end when they are done; this is long enough for any.
const HAND_TIME: Duration = Duration::from_secs(3600);

/// How much a run may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub windows: usize,
    pub time: Duration,
}

/// What a call came to.
#[derive(Debug)]
pub struct Processed {
    /// The run's row in `worker_runs`, if one could be written.
    pub id: Option<i64>,
    /// The limit of windows was reached; there may be more to do.
    pub more: bool,
    pub report: RunRow,
}

/// Who asks for a run.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// Somebody by hand: everything is looked through.
    Hand,
    /// The procedure, for a first round, or for a further one of a run.
    Round(Option<i64>),
}

/// Works off what is pending within the limits.
pub fn process(limits: Limits, call: Call) -> Result<Processed, Error> {
    let (earlier, mut search) = match call {
        Call::Round(Some(run)) => (Some(run), Search::of_run(run)),
        Call::Round(None) => (None, Search::new(store::last_search()?)),
        Call::Hand => (None, Search::new(None)),
    };
    let mut run = Run::begin(limits.time, earlier.is_none())?;
    if let Call::Round(_) = call {
        run.round_time = Some(round_time());
    }
    let mut more = false;
    let seen = store::osrm_as_seen()?;
    run.report.left_out = seen.left_out;
    // With groups, the servers of one may want to be left alone and those of another not.
    if let Some((why, until)) = seen.pause.filter(|_| !run.membership.is_grouped()) {
        run.report.osrm_error = Some(why);
        run.report.osrm_resume = Some(until);
    } else if run.settings.enabled {
        more = run.work_off_pending(&mut search, limits.windows)?;
    }
    run.report.search_pages = search.pages_in_vain();
    let id = run.record(earlier, !more)?;
    if !more {
        run.store_reads()?;
    } else if let Some(id) = id {
        search.keep(id);
    }
    Ok(Processed {
        id,
        more,
        report: run.report,
    })
}

/// Matches batches that were claimed by hand.
pub fn process_batches(batches: Vec<Uuid>) -> Result<RunRow, Error> {
    let mut run = Run::begin(HAND_TIME, false)?;
    if run.settings.enabled {
        let claims = claiming::claim_batches(
            &run.settings,
            &run.sources,
            batches.clone(),
            &mut run.passed,
            &mut run.membership,
        )?;
        if !claims.is_empty() {
            let mut groups = run.groups()?;
            run.work_off(&mut groups, claims)?;
        }
    }
    // What could not be done now is the next run's.
    store::hand_back(batches)?;
    run.record(None, true)?;
    Ok(run.report)
}

/// Takes up to `most` pending batches by hand.
pub fn take(most: usize) -> Result<Vec<Uuid>, Error> {
    backend::require_writable()?;
    if !settings::enabled() {
        return Ok(Vec::new());
    }
    store::take_pending(most as i32)
}

/// Puts windows that want work on record as pending and returns how many.
pub fn plan(most: usize) -> Result<i64, Error> {
    let mut run = Run::begin(HAND_TIME, false)?;
    if !run.settings.enabled {
        return Ok(0);
    }
    let enough = Enough {
        windows: most,
        of_a_device: most,
    };
    let taken = claiming::claim(
        &run.settings,
        &run.sources,
        enough,
        &mut Search::new(None),
        &mut run.passed,
        &mut run.membership,
    )?;
    let windows: Vec<_> = taken.claims.into_iter().map(|c| c.window).collect();
    store::make_pending(&windows)?;
    Ok(windows.len() as i64)
}

/// Which group each of these devices is in, or each that has paths.
pub fn groups_of(devices: Option<Vec<String>>) -> Result<BTreeMap<String, Group>, Error> {
    let devices = match devices {
        Some(devices) => devices,
        None => store::devices_with_paths()?,
    };
    let (found, unsaid) = store::groups_of(&store::sources()?, &devices)?;
    if let Some(unsaid) = unsaid {
        unsaid.why.warn(
            &unsaid.what,
            "Mend what its column holds, or choose another source_column in osrm_groups.",
        );
    }
    Ok(found.into_iter().collect())
}

/// What is needed throughout a run.
struct Run {
    settings: Settings,
    sources: Vec<Source>,
    checks: Checks,
    passed: PassedOver,
    membership: Membership,
    begun: Instant,
    deadline: Instant,
    /// Nothing: a round ends when all that it has taken is done.
    round_time: Option<Duration>,
    /// When that is up, from the first windows that are read on.
    round_end: Option<Instant>,
    report: RunRow,
    _plans: Options,
}

impl Run {
    /// The first round of a run also sets aside what no window can hold, which is when adopted
    /// tables that have become ready are found.
    fn begin(time: Duration, first: bool) -> Result<Self, Error> {
        let begun = Instant::now();
        backend::require_writable()?;
        store::require_version()?;
        store::require_points()?;
        let settings = Settings::read();
        let report = RunRow {
            started: backend::now(),
            ..RunRow::default()
        };
        if first && settings.enabled {
            backend::unless_locked(store::use_ready_sources)?;
            backend::unless_locked(store::take_back_put_off)?;
        }
        let (sources, checks) = (store::sources()?, Checks::new()?);
        for source in &sources {
            store::take_back(source)?;
        }
        if first && settings.enabled {
            store::reject_unusable(&sources, backend::now() - settings.look_back)?;
        }
        Ok(Self {
            settings,
            membership: Membership::new(&sources),
            sources,
            checks,
            passed: PassedOver::new(),
            begun,
            deadline: Instant::now() + time,
            round_time: None,
            round_end: None,
            report,
            _plans: Options::index_plans(),
        })
    }

    /// Takes up to `most` windows, round by round; says whether there may be more to do.
    fn work_off_pending(&mut self, search: &mut Search, most: usize) -> Result<bool, Error> {
        let mut groups = self.groups()?;
        self.membership.add_away(search.away.clone());
        let mut left = most;
        while left > 0 && self.round_end.is_none_or(|end| Instant::now() < end) {
            let round = || self.round(&mut groups, search, left.min(ROUND));
            match backend::in_own_memory(round)? {
                Round::Whole(windows) => left = left.saturating_sub(windows),
                Round::CutShort => break,
                Round::Last => return Ok(false),
            }
        }
        search.away = self.membership.away().clone();
        Ok(true)
    }

    /// The servers of all groups.
    fn groups(&self) -> Result<Groups, Error> {
        let seen = self.report.left_out.clone();
        Groups::new(&self.settings, self.membership.is_grouped(), seen)
    }

    /// Claims windows and works them off.
    fn round(
        &mut self,
        groups: &mut Groups,
        search: &mut Search,
        most: usize,
    ) -> Result<Round, Error> {
        let enough = Enough {
            windows: most,
            of_a_device: most_of_a_device(self.settings.recipe.window),
        };
        let passed = self.passed.len();
        let taken = claiming::claim(
            &self.settings,
            &self.sources,
            enough,
            search,
            &mut self.passed,
            &mut self.membership,
        )?;
        // A window each at least.
        self.report.windows_deferred += (self.passed.len() - passed) as i32;
        if taken.claims.is_empty() {
            return Ok(match taken.goes_on && !self.out_of_time() {
                true => Round::Whole(0),
                false => Round::Last,
            });
        }
        let (count, left_over) = self.work_off(groups, taken.claims)?;
        Ok(match left_over {
            _ if !groups.is_any_left() || self.out_of_time() => Round::Last,
            Some(windows) => {
                search.live.put_back(windows);
                Round::CutShort
            }
            None => Round::Whole(count),
        })
    }

    /// Works claimed windows off, but for those whose servers are away; returns how many, and, where the round's time
    /// was up before, what the next round is to begin with.
    fn work_off(
        &mut self,
        groups: &mut Groups,
        claims: Vec<Claim>,
    ) -> Result<(usize, Option<Vec<WithNew>>), Error> {
        let wanted: BTreeSet<Group> = claims.iter().map(|claim| claim.group.clone()).collect();
        groups.start(wanted)?;
        let away = groups.found_away();
        let (deferred, claims): (Vec<Claim>, Vec<Claim>) =
            (claims.into_iter()).partition(|claim| away.contains(&claim.group));
        self.report.windows_deferred += deferred.len() as i32;
        let count = claims.len();
        let left_over = match count {
            0 => None,
            _ => self.read_match_and_write(groups, claims)?,
        };
        self.membership.add_away(groups.found_away());
        self.report.osrm_calls = groups.calls() as i32;
        self.report.left_out = groups.left_out();
        self.note(groups.away());
        Ok((count, left_over))
    }

    /// Threads match what was read, while the main thread reads on and writes what they have done.
    fn read_match_and_write(
        &mut self,
        groups: &mut Groups,
        claims: Vec<Claim>,
    ) -> Result<Option<Vec<WithNew>>, Error> {
        let end = self.round_time.map(|time| Instant::now() + time);
        self.round_end = self.round_end.or(end);
        let bounds = Bounds {
            run: self.deadline,
            round: self.round_end,
        };
        let mut outbox = Outbox::new(&self.settings, &self.sources, &self.checks, &claims);
        let (mut open, mut whole) = (Vec::new(), Vec::new());
        for claim in claims {
            match claim.new.filter(|_| claim.settles.is_some()) {
                Some(new) if claim.goes_on() => open.push((claim, new)),
                _ => whole.push(claim),
            }
        }
        let read = onward::read(&self.sources, open, self.settings.settle_delay)?;
        read.jobs.into_iter().for_each(|job| groups.submit(job));
        outbox.put_unread(read.unread);
        whole.extend(read.whole);
        whole.sort_by(|a, b| a.window.cmp(&b.window));
        let whole = claiming::by_device(whole);
        let looked_up = reading::look_up(&self.settings.recipe, &self.sources, &whole)?;
        for (nth, device) in whole.into_iter().enumerate() {
            // One device at least, so that each round gets on.
            if self.out_of_time() || nth > 0 && bounds.wind_up(groups, &mut outbox) {
                outbox.leave(device);
                continue;
            }
            let read = reading::read(&self.settings.recipe, &self.sources, &looked_up, device)?;
            read.jobs.into_iter().for_each(|job| groups.submit(job));
            outbox.put_unread(read.unread);
            collect(
                groups,
                &mut outbox,
                &mut self.report,
                &bounds,
                Groups::is_full,
            )?;
        }
        // While the last jobs are under way, the main thread writes what it would write after them.
        let threads = self.settings.concurrency;
        for (open, lot) in [(threads, LOT / 4), (0, 1)] {
            let report = &mut self.report;
            collect(groups, &mut outbox, report, &bounds, |groups| {
                groups.open() > open
            })?;
            outbox.write_if(lot, report)?;
        }
        let left_over = outbox.left_over()?;
        self.passed.extend(outbox.unrecorded);
        Ok(left_over)
    }

    fn out_of_time(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Notes whether OSRM as a whole is away.
    fn note(&mut self, away: Option<Away>) {
        let pause = away.as_ref().and_then(|away| away.pause);
        self.report.osrm_resume = pause.map(|pause| backend::now() + pause.as_micros() as Micros);
        self.report.osrm_error = away.map(|away| away.why);
    }
}
