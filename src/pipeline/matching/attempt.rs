//! What a thread does with a job.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::osrm::client::Client;
use crate::osrm::{MatchAnswer, MatchError, MatchRequest, Matcher, Refusal, Session};
use crate::pipeline::reading::{Job, Target};
use crate::track::{Fix, Outcome, Recipe, Window, match_windows};

/// What a job came to: each window with its outcome.
#[derive(Debug)]
pub struct Done {
    pub windows: Vec<(Target, Result<Outcome, Setback>)>,
    pub fixes: Arc<Vec<Fix>>,
    pub millis: i32,
}

/// Why a window has no outcome this time.
#[derive(Debug)]
pub enum Setback {
    /// Nothing was learnt about the window: the run ends, or the server as a whole is away.
    Untried,
    /// The window itself could not be matched though the server is there: code and words.
    Failed(&'static str, String),
}

impl Setback {
    fn timed_out() -> Self {
        let words = "OSRM did not answer within osrm_matcher.request_timeout";
        Self::Failed("TimedOut", words.into())
    }
}

/// Matches the windows of a job.
pub fn work_off(client: &Client, limit: Duration, recipe: &Recipe, job: Job) -> Done {
    let begin = Instant::now();
    let windows: Vec<Window> = job.targets.iter().map(|t| t.window.span).collect();
    let session = Session::new(client, limit);
    let results = attempt(&session, recipe, &windows, &job.fixes);
    let mut to_blame = session.is_lost();
    let mut setback = |error| match error {
        MatchError::Cancelled if std::mem::take(&mut to_blame) => Setback::timed_out(),
        error => setback(client, error),
    };
    let windows = job
        .targets
        .into_iter()
        .zip(results)
        .map(|(target, result)| (target, result.map_err(&mut setback)))
        .collect::<Vec<_>>();
    let millis = begin.elapsed().as_millis() / windows.len().max(1) as u128;
    Done {
        windows,
        fixes: job.fixes,
        millis: millis as i32,
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

/// Tells a window that cannot be matched from a server that is away.
fn setback(client: &Client, error: MatchError) -> Setback {
    let failed = match error {
        MatchError::Cancelled => return Setback::Untried,
        MatchError::Refused(refusal) => Setback::Failed("Refused", refusal.message),
        MatchError::TooBig => Setback::Failed(
            "TooBig",
            "the server takes no request of four points".into(),
        ),
        MatchError::TimedOut => Setback::timed_out(),
        MatchError::Unavailable(words) => Setback::Failed("Unavailable", words),
    };
    if client.probe() {
        failed
    } else {
        Setback::Untried
    }
}

/// The outcome of a window that OSRM never answers for: raw paths that give the reason.
pub fn raw_outcome(
    recipe: &Recipe,
    window: Window,
    fixes: &[Fix],
    code: &str,
    words: &str,
) -> Outcome {
    struct RefuseAll(Refusal);
    impl Matcher for RefuseAll {
        fn ask(&self, _: &MatchRequest) -> Result<MatchAnswer, MatchError> {
            Err(MatchError::Refused(self.0.clone()))
        }
        fn max_size(&self) -> usize {
            usize::MAX
        }
    }
    let refuse = RefuseAll(Refusal {
        code: code.into(),
        message: words.into(),
    });
    attempt(&refuse, recipe, &[window], fixes)
        .into_iter()
        .next()
        .and_then(Result::ok)
        .unwrap_or_else(|| Outcome {
            context: (window.start, window.end),
            ..Outcome::default()
        })
}
