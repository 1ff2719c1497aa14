//! The threads of a run that ask OSRM, and the waiting for them.

mod attempt;

use std::sync::Arc;
use std::time::Duration;

use super::reading::Job;
use crate::backend::interrupts;
use crate::error::Error;
use crate::osrm::client::Client;
use crate::osrm::reply::Away;
use crate::pool::Pool;
use crate::settings::Settings;
#[cfg(test)]
pub use attempt::How;
use attempt::Shared;
pub use attempt::{Attempted, Done};

/// How soon a cancel is noticed while all wait for OSRM.
pub const POLL: Duration = Duration::from_millis(50);

/// Fixes that are read and not matched yet, beyond which no more are read: some tens of megabytes.
const CAPACITY: usize = 500_000;

enum Task {
    Probe,
    Match(Job),
}

/// A run's threads and what they share. Threads start with the first claim, so that a run with nothing to
/// do starts none.
pub struct Matchers {
    shared: Arc<Shared>,
    threads: usize,
    pool: Option<Pool<Task, Option<Done>>>,
}

impl Matchers {
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(Shared {
                client: Client::new(&settings.client).map_err(Error::BadAddress)?,
                recipe: settings.recipe.clone(),
                request_timeout: settings.request_timeout,
                max_retries: settings.max_retries,
            }),
            threads: settings.concurrency,
            pool: None,
        })
    }

    /// Starts the threads, unless they run, and asks the server for a sign of life; false if it
    /// is away.
    pub fn start(&mut self) -> Result<bool, Error> {
        if self.pool.is_none() {
            let shared = self.shared.clone();
            let work = move |task| match task {
                Task::Probe => {
                    shared.client.probe();
                    None
                }
                Task::Match(job) => Some(shared.work_off(job)),
            };
            let mut pool = Pool::start(self.threads, CAPACITY, work).map_err(Error::Threads)?;
            pool.submit(Task::Probe, 0);
            self.pool = Some(pool);
            while self.open() > 0 {
                self.receive(POLL)?;
            }
        }
        Ok(self.away().is_none())
    }

    pub fn submit(&mut self, job: Job) {
        if let Some(pool) = &mut self.pool {
            let weight = job.share;
            pool.submit(Task::Match(job), weight);
        }
    }

    /// Jobs under way.
    pub fn open(&self) -> usize {
        self.pool.as_ref().map_or(0, Pool::open)
    }

    /// Whether so much is under way that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.pool.as_ref().is_some_and(Pool::is_full)
    }

    /// The next job that is done, waiting no longer than `wait`.
    pub fn receive(&mut self, wait: Duration) -> Result<Option<Done>, Error> {
        receive(&mut self.pool, &self.shared.client, wait).map(Option::flatten)
    }

    /// Ends all requests; jobs come back with what they have.
    pub fn cancel(&self) {
        self.shared.client.cancel();
    }

    pub fn away(&self) -> Option<Away> {
        self.shared.client.away()
    }

    pub fn calls(&self) -> u64 {
        self.shared.client.calls()
    }
}

impl Drop for Matchers {
    fn drop(&mut self) {
        // The pool waits for its threads; an answer that takes its time must not make it wait.
        self.shared.client.cancel();
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
