//! The threads of a run that ask OSRM, and the waiting for them.

mod attempt;
mod panics;
mod unanswered;

use std::sync::Arc;
use std::time::Duration;

use super::reading::Job;
use crate::error::Error;
use crate::osrm::client::{Client, ClientSettings, LeftOut};
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

/// A run's threads that ask the servers of a group, and what they share. Threads start with the first claim, so that a
/// run with nothing to do starts none.
pub struct Matchers {
    shared: Arc<Shared>,
    threads: usize,
    pool: Option<Pool<Task, Option<Done>>>,
}

impl Matchers {
    /// `left_out` is what the last run knew of servers that failed.
    pub fn new(
        settings: &Settings,
        client: &ClientSettings,
        left_out: &[LeftOut],
    ) -> Result<Self, Error> {
        let request_timeout = client.request_timeout;
        let client = Client::new(client).map_err(Error::BadSetting)?;
        client.recall(left_out);
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                recipe: settings.recipe.clone(),
                request_timeout,
                max_retries: settings.max_retries,
            }),
            threads: settings.concurrency,
            pool: None,
        })
    }

    /// Starts the threads, unless they run, and asks servers for a sign of life as it is time; true if the threads did
    /// not run.
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
        Ok(first)
    }

    /// Asks servers, too, that failed lately: one of them may be better than none.
    pub fn ask_all(&mut self) {
        self.probe(self.shared.client.unprobed());
    }

    fn probe(&mut self, servers: Vec<usize>) {
        if let Some(pool) = &mut self.pool {
            let tasks = servers.into_iter().map(Task::Probe);
            tasks.for_each(|task| pool.submit(task, 0));
        }
    }

    /// Whether servers are asked for a sign of life, and none has given any yet.
    pub fn awaits_a_server(&self) -> bool {
        self.open() > 0 && !self.shared.client.is_ready()
    }

    pub fn is_started(&self) -> bool {
        self.pool.is_some()
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
        let done = self.pool.as_mut().map(|pool| receive(pool, wait));
        Ok(done.transpose()?.flatten().flatten())
    }

    /// Waits for the threads to end, whose requests have been.
    pub fn stop(&mut self) {
        self.pool = None;
    }

    /// Ends all requests; jobs come back with what they have.
    pub fn cancel(&self) {
        self.shared.client.cancel();
    }

    /// Has jobs end with the windows that they have begun.
    pub fn wind_up(&self) {
        self.shared.client.wind_up();
    }

    pub fn away(&self) -> Option<Away> {
        self.shared.client.away()
    }

    /// Servers that are left out.
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.shared.client.left_out()
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

/// The next result of threads that ask OSRM, waiting no longer than `wait`.
pub fn receive<J: Send + 'static, R: Send + 'static>(
    pool: &mut Pool<J, R>,
    wait: Duration,
) -> Result<Option<R>, Error> {
    match pool.receive(wait) {
        Some(Ok(result)) => Ok(Some(result)),
        Some(Err(_)) => Err(Error::Defect("a thread that asks OSRM panicked".into())),
        None => Ok(None),
    }
}
