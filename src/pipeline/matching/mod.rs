//! The threads of a run that ask OSRM, and the waiting for them.

mod attempt;
mod panics;
mod unanswered;

use std::sync::Arc;
use std::time::Duration;

use super::reading::Job;
use crate::backend::interrupts;
use crate::error::Error;
use crate::osrm::client::{Client, LeftOut};
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
    /// Of a server.
    Probe(usize),
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
    /// `left_out` is what the last run knew of servers that failed.
    pub fn new(settings: &Settings, left_out: &[LeftOut]) -> Result<Self, Error> {
        let client = Client::new(&settings.client).map_err(Error::BadAddress)?;
        client.recall(left_out);
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                recipe: settings.recipe.clone(),
                request_timeout: settings.request_timeout,
                max_retries: settings.max_retries,
            }),
            threads: settings.concurrency,
            pool: None,
        })
    }

    /// Starts the threads, unless they run, and asks servers for a sign of life as it is time; false if none is
    /// there.
    pub fn start(&mut self) -> Result<bool, Error> {
        let first = self.pool.is_none();
        if first {
            let shared = self.shared.clone();
            let work = move |task| match task {
                Task::Probe(server) => {
                    shared.client.probe_one(server);
                    None
                }
                Task::Match(job) => Some(shared.work_off(job)),
            };
            let pool = Pool::start(self.threads, CAPACITY, work).map_err(Error::Threads)?;
            self.pool = Some(pool);
        }
        self.probe(self.shared.client.due());
        if first {
            self.wait_for_a_server()?;
            if self.away().is_some() {
                // One that failed lately may be better than none.
                self.probe(self.shared.client.unprobed());
                self.wait_for_a_server()?;
            }
        }
        Ok(self.away().is_none())
    }

    fn probe(&mut self, servers: Vec<usize>) {
        if let Some(pool) = &mut self.pool {
            let tasks = servers.into_iter().map(Task::Probe);
            tasks.for_each(|task| pool.submit(task, 0));
        }
    }

    /// Waits until a server has given a sign of life, or none of those that were asked.
    fn wait_for_a_server(&mut self) -> Result<(), Error> {
        while self.open() > 0 && !self.shared.client.is_ready() {
            self.receive(POLL)?;
        }
        Ok(())
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

    /// Servers that are left out; nothing if none has been asked.
    pub fn left_out(&self) -> Option<Vec<LeftOut>> {
        (self.pool.as_ref()).map(|_| self.shared.client.left_out())
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
