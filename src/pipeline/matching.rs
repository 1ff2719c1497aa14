//! The threads of a run that ask OSRM, and the client that they share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reading::{Job, Target};
use crate::backend::interrupts;
use crate::error::Error;
use crate::osrm::client::Client;
use crate::osrm::reply::Away;
use crate::osrm::{MatchAnswer, MatchError, MatchRequest, Matcher, Refusal, Session};
use crate::pool::Pool;
use crate::settings::Settings;
use crate::track::{Fix, Outcome, Recipe, Window, match_windows};

/// How soon a cancel is noticed while all wait for OSRM.
pub const POLL: Duration = Duration::from_millis(50);

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

enum Task {
    Probe,
    Match(Job),
}

/// A run's threads and client. Threads start with the first claim, so that a run with nothing to
/// do starts none.
pub struct Matchers {
    client: Arc<Client>,
    recipe: Arc<Recipe>,
    threads: usize,
    request_timeout: Duration,
    pool: Option<Pool<Task, Option<Done>>>,
}

impl Matchers {
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            client: Arc::new(Client::new(&settings.client).map_err(Error::BadAddress)?),
            recipe: Arc::new(settings.recipe.clone()),
            threads: settings.concurrency,
            request_timeout: settings.request_timeout,
            pool: None,
        })
    }

    /// Starts the threads, unless they run, and asks the server for a sign of life; false if it
    /// is away.
    pub fn start(&mut self) -> Result<bool, Error> {
        if self.pool.is_none() {
            let (client, recipe) = (self.client.clone(), self.recipe.clone());
            let limit = self.request_timeout;
            let work = move |task| match task {
                Task::Probe => {
                    client.probe();
                    None
                }
                Task::Match(job) => Some(work_off(&client, limit, &recipe, job)),
            };
            let mut pool = Pool::start(self.threads, work).map_err(Error::Threads)?;
            pool.submit(Task::Probe);
            self.pool = Some(pool);
            while self.open() > 0 {
                self.receive(POLL)?;
            }
        }
        Ok(self.away().is_none())
    }

    pub fn submit(&mut self, job: Job) {
        if let Some(pool) = &mut self.pool {
            pool.submit(Task::Match(job));
        }
    }

    /// Jobs under way.
    pub fn open(&self) -> usize {
        self.pool.as_ref().map_or(0, Pool::open)
    }

    /// The next job that is done, waiting no longer than `wait`.
    pub fn receive(&mut self, wait: Duration) -> Result<Option<Done>, Error> {
        receive(&mut self.pool, &self.client, wait).map(Option::flatten)
    }

    /// Ends all requests; jobs come back with what they have.
    pub fn cancel(&self) {
        self.client.cancel();
    }

    pub fn away(&self) -> Option<Away> {
        self.client.away()
    }

    pub fn calls(&self) -> u64 {
        self.client.calls()
    }
}

impl Drop for Matchers {
    fn drop(&mut self) {
        // The pool waits for its threads; an answer that takes its time must not make it wait.
        self.client.cancel();
    }
}

/// The next result of threads that ask OSRM by `client`, waiting no longer than `wait`. Serves
/// interrupts; where one ends the statement, the threads are stopped before.
pub fn receive<J: Send + 'static, R: Send + 'static>(
    pool: &mut Option<Pool<J, R>>,
    client: &Client,
    wait: Duration,
) -> Result<Option<R>, Error> {
    if interrupts::ending() {
        client.cancel();
        *pool = None;
    }
    interrupts::serve();
    match pool.as_mut().and_then(|pool| pool.receive(wait)) {
        Some(Ok(result)) => Ok(Some(result)),
        Some(Err(_)) => Err(Error::Defect("a thread that asks OSRM panicked".into())),
        None => Ok(None),
    }
}

fn work_off(client: &Client, limit: Duration, recipe: &Recipe, job: Job) -> Done {
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
