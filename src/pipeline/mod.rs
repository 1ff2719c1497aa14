//! A run: claim windows, read their points, match them on threads, write what became of them.
//!
//! The pipeline decides the order of things and owns none of the means: SQL is in `store`, HTTP
//! in `osrm::client`, the line in `track`.

mod claiming;
mod health;
mod matching;
mod reading;
mod writing;

use std::time::{Duration, Instant};

use pgrx::datum::Uuid;

pub use health::ask_health;

use crate::backend;
use crate::error::Error;
use crate::osrm::reply::Away;
use crate::settings::Settings;
use crate::store::{self, RunRow, Source};
use crate::track::Micros;
use claiming::Claim;
use matching::{Matchers, POLL};
use writing::Outbox;

/// Windows that are claimed at a time: enough to keep all threads busy, little enough that the
/// first results are written soon.
const ROUND: usize = 200;
/// Results are written in lots of this many windows while the threads go on.
const LOT: usize = 64;

/// Steps that an operator calls by hand end when they are done; this is long enough for any.
const HAND_TIME: Duration = Duration::from_secs(3600);

/// How much a run may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub windows: usize,
    pub time: Duration,
}

/// What is needed throughout a run.
struct Run {
    settings: Settings,
    sources: Vec<Source>,
    deadline: Instant,
    report: RunRow,
}

impl Run {
    /// The first round of a run also sets aside what no window can hold, which is when adopted
    /// tables that have become ready are found.
    fn begin(limits: Limits, first: bool) -> Result<Self, Error> {
        backend::require_writable()?;
        let settings = Settings::read();
        let mut report = RunRow {
            started: backend::now(),
            ..RunRow::default()
        };
        if first && settings.enabled {
            report.rejected = store::reject_unreachable()?;
        }
        Ok(Self {
            settings,
            sources: store::sources()?,
            deadline: Instant::now() + limits.time,
            report,
        })
    }

    fn out_of_time(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Claims windows and matches them; returns how many, or nothing if the run had better end.
    fn round(&mut self, matchers: &mut Matchers, most: usize) -> Result<Option<usize>, Error> {
        let claims = claiming::claim(&self.settings, &self.sources, most)?;
        if claims.is_empty() {
            return Ok(None);
        }
        let count = claims.len();
        if !matchers.start()? {
            self.put_off(&claims, matchers.away());
            return Ok(None);
        }
        Ok(self.work_off(matchers, claims)?.then_some(count))
    }

    /// Matches claimed windows and writes the outcome; false if the run had better end.
    fn work_off(&mut self, matchers: &mut Matchers, claims: Vec<Claim>) -> Result<bool, Error> {
        let mut outbox = Outbox::new(&self.settings, &self.sources, &claims);
        for device in claiming::by_device(claims) {
            for job in reading::read(&self.settings, &self.sources, device)? {
                matchers.submit(job);
            }
            while let Some(done) = matchers.receive(Duration::ZERO)? {
                outbox.put(done);
            }
            outbox.write_if(LOT, &mut self.report)?;
        }
        while matchers.open() > 0 {
            if self.out_of_time() {
                matchers.cancel();
            }
            if let Some(done) = matchers.receive(POLL)? {
                outbox.put(done);
                outbox.write_if(LOT, &mut self.report)?;
            }
        }
        outbox.write_if(1, &mut self.report)?;
        self.note(matchers.away());
        Ok(self.report.osrm_error.is_none() && !self.out_of_time())
    }

    /// Records that the server is away, if it is.
    fn note(&mut self, away: Option<Away>) {
        let Some(away) = away else { return };
        self.report.osrm_resume = away
            .pause
            .map(|pause| backend::now() + pause.as_micros() as Micros);
        self.report.osrm_error = Some(away.why);
    }

    /// Claims that cannot be worked off because the server is away.
    fn put_off(&mut self, claims: &[Claim], away: Option<Away>) {
        self.report.windows_deferred += claims.len() as i32;
        self.note(away);
    }
}

/// What a call came to.
#[derive(Debug)]
pub struct Processed {
    /// The run's row in `worker_runs`.
    pub id: i64,
    /// The limit of windows was reached; there may be more to do.
    pub more: bool,
    pub report: RunRow,
}

/// Works off what is pending within the limits. `run` is the run that this is a further round of.
pub fn process(limits: Limits, run: Option<i64>) -> Result<Processed, Error> {
    let begin = Instant::now();
    let mut this = Run::begin(limits, run.is_none())?;
    let _plans = backend::IndexPlans::new();
    let mut more = false;
    if let Some((why, until)) = store::pause_asked_for()? {
        this.report.osrm_error = Some(why);
        this.report.osrm_resume = Some(until);
    } else if this.settings.enabled {
        let mut matchers = Matchers::new(&this.settings)?;
        let mut left = limits.windows;
        while left > 0 {
            let round = || this.round(&mut matchers, left.min(ROUND));
            let Some(claimed) = backend::in_own_memory(round)? else {
                break;
            };
            left = left.saturating_sub(claimed);
            more = left == 0;
        }
        this.report.osrm_calls = matchers.calls() as i32;
    }
    this.report.millis = begin.elapsed().as_millis() as i32;
    if !more {
        store::store_reads()?;
    }
    let id = store::record_run(run, &this.report, !more)?;
    Ok(Processed {
        id,
        more,
        report: this.report,
    })
}

/// Matches batches that were claimed by hand.
pub fn process_batches(batches: Vec<Uuid>) -> Result<RunRow, Error> {
    let begin = Instant::now();
    let limits = Limits {
        windows: batches.len(),
        time: HAND_TIME,
    };
    let mut this = Run::begin(limits, false)?;
    let _plans = backend::IndexPlans::new();
    let claims = claiming::claim_batches(&this.settings.recipe, batches.clone())?;
    if !claims.is_empty() {
        let mut matchers = Matchers::new(&this.settings)?;
        if matchers.start()? {
            this.work_off(&mut matchers, claims)?;
        } else {
            this.put_off(&claims, matchers.away());
        }
        this.report.osrm_calls = matchers.calls() as i32;
    }
    // What could not be done now is the next run's.
    store::hand_back(batches)?;
    this.report.millis = begin.elapsed().as_millis() as i32;
    store::record_run(None, &this.report, true)?;
    Ok(this.report)
}

/// Puts windows that want work on record as pending and returns how many.
pub fn plan(most: usize) -> Result<i64, Error> {
    let limits = Limits {
        windows: most,
        time: HAND_TIME,
    };
    let run = Run::begin(limits, false)?;
    let _plans = backend::IndexPlans::new();
    let claims = claiming::claim(&run.settings, &run.sources, most)?;
    let windows: Vec<_> = claims.into_iter().map(|c| (c.window, c.known)).collect();
    store::make_pending(&windows)?;
    Ok(windows.len() as i64)
}
