//! What a thread does with a job: asks for its windows' lines, and tells a window that cannot be
//! matched from a server that is away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::osrm::client::Client;
use crate::osrm::{MatchAnswer, MatchError, MatchRequest, Matcher, Refusal, Session};
use crate::pipeline::reading::{Job, Target};
use crate::store::Status;
use crate::track::{Fix, Outcome, Recipe, Window, match_windows};

/// What the threads of a run share.
pub struct Shared {
    pub client: Client,
    pub recipe: Recipe,
    pub request_timeout: Duration,
    pub max_retries: i32,
}

/// What a job came to.
#[derive(Debug, Default)]
pub struct Done {
    pub attempted: Vec<Attempted>,
    /// Windows of which nothing was learnt.
    pub untried: usize,
}

/// A window that was tried.
#[derive(Debug)]
pub struct Attempted {
    pub target: Target,
    pub status: Status,
    /// Attempts that failed, one after the other.
    pub retries: i32,
    pub error: Option<Refusal>,
    pub outcome: Outcome,
    pub millis: i32,
}

impl Attempted {
    /// Whether this is all for now: the window is not put off for another attempt.
    pub fn is_final(&self) -> bool {
        self.status != Status::Pending
    }
}

/// Why a window was not matched this time.
#[derive(Debug)]
enum Setback {
    /// Nothing was learnt about the window: the run ends, or the server as a whole is away.
    Untried,
    /// The window itself could not be matched though the server is there.
    Failed(Refusal),
}

impl Setback {
    fn failed(code: &str, words: impl Into<String>) -> Self {
        Self::Failed(Refusal {
            code: code.into(),
            message: words.into(),
        })
    }

    fn timed_out() -> Self {
        Self::failed(
            "TimedOut",
            "OSRM did not answer within osrm_matcher.request_timeout",
        )
    }
}

impl Shared {
    /// Matches the windows of a job.
    pub fn work_off(&self, Job { targets, fixes }: Job) -> Done {
        let begin = Instant::now();
        let windows: Vec<Window> = targets.iter().map(|t| t.window.span).collect();
        let session = Session::new(&self.client, self.request_timeout);
        let results = attempt(&session, &self.recipe, &windows, &fixes);
        let mut to_blame = session.is_lost();
        let mut setback = |error| match error {
            MatchError::Cancelled if std::mem::take(&mut to_blame) => Setback::timed_out(),
            error => self.setback(error),
        };
        let results: Vec<_> = results
            .into_iter()
            .map(|result| result.map_err(&mut setback))
            .collect();
        let millis = begin.elapsed().as_millis() / windows.len().max(1) as u128;
        let mut done = Done::default();
        for (target, result) in targets.into_iter().zip(results) {
            match self.conclude(target, result, &fixes, millis as i32) {
                Some(attempted) => done.attempted.push(attempted),
                None => done.untried += 1,
            }
        }
        done
    }

    /// Tells a window that cannot be matched from a server that is away.
    fn setback(&self, error: MatchError) -> Setback {
        let failed = match error {
            MatchError::Cancelled => return Setback::Untried,
            MatchError::Refused(refusal) => Setback::failed("Refused", refusal.message),
            MatchError::TooBig => {
                Setback::failed("TooBig", "the server takes no request of four points")
            }
            MatchError::TimedOut => Setback::timed_out(),
            MatchError::Unavailable(words) => Setback::failed("Unavailable", words),
        };
        if self.client.probe() {
            failed
        } else {
            Setback::Untried
        }
    }

    /// What is to be stored of a window, if it was tried. One that failed is due again after a
    /// pause; after the last attempt it ends with raw paths, so that the map has no hole and its
    /// points are settled.
    fn conclude(
        &self,
        target: Target,
        result: Result<Outcome, Setback>,
        fixes: &[Fix],
        millis: i32,
    ) -> Option<Attempted> {
        let (status, retries, error, outcome) = match result {
            Ok(outcome) => (Status::Completed, 0, outcome.refusal.clone(), outcome),
            Err(Setback::Untried) => return None,
            Err(Setback::Failed(why)) => {
                let retries = target.retries + 1;
                let (status, outcome) = if retries > self.max_retries {
                    let outcome = raw_outcome(&self.recipe, target.window.span, fixes, &why);
                    (Status::Failed, outcome)
                } else {
                    (Status::Pending, Outcome::default())
                };
                (status, retries, Some(why), outcome)
            }
        };
        Some(Attempted {
            target,
            status,
            retries,
            error,
            outcome,
            millis,
        })
    }
}

/// Matches windows together. A defect that shows as a panic must cost its own window only.
fn attempt(
    matcher: &dyn Matcher,
    recipe: &Recipe,
    windows: &[Window],
    fixes: &[Fix],
) -> Vec<Result<Outcome, MatchError>> {
    let together = catch_unwind(AssertUnwindSafe(|| {
        match_windows(windows, fixes, recipe, matcher)
    }));
    match (together, windows) {
        (Ok(results), _) => results,
        (Err(_), [_]) => {
            vec![Err(MatchError::Unavailable(
                "a defect of osrm_matcher: it panicked".into(),
            ))]
        }
        (Err(_), _) => windows
            .iter()
            .flat_map(|w| attempt(matcher, recipe, std::slice::from_ref(w), fixes))
            .collect(),
    }
}

/// The outcome of a window that OSRM never answers for: raw paths that give the reason.
fn raw_outcome(recipe: &Recipe, window: Window, fixes: &[Fix], why: &Refusal) -> Outcome {
    struct RefuseAll<'a>(&'a Refusal);
    impl Matcher for RefuseAll<'_> {
        fn ask(&self, _: &MatchRequest) -> Result<MatchAnswer, MatchError> {
            Err(MatchError::Refused(self.0.clone()))
        }
        fn max_size(&self) -> usize {
            usize::MAX
        }
    }
    attempt(&RefuseAll(why), recipe, &[window], fixes)
        .into_iter()
        .next()
        .and_then(Result::ok)
        .unwrap_or_else(|| Outcome {
            context: (window.start, window.end),
            ..Outcome::default()
        })
}
