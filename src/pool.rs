//! A few threads that work off jobs while the main thread reads and writes. Knows neither
//! Postgres nor OSRM.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Threads that turn jobs into results. Dropping it waits for the threads, so whatever lets them
/// return early must have been told before.
pub struct Pool<J, R> {
    jobs: Option<Sender<(J, usize)>>,
    results: Receiver<(thread::Result<R>, usize)>,
    threads: Vec<JoinHandle<()>>,
    open: usize,
    /// What the open jobs weigh together, and what they should.
    load: usize,
    capacity: usize,
}

impl<J: Send + 'static, R: Send + 'static> Pool<J, R> {
    /// Starts `size` threads that never see a signal: the backend's handlers must run on its main
    /// main thread only. Jobs that weigh more than `capacity` together make it full.
    pub fn start(
        size: usize,
        capacity: usize,
        work: impl Fn(J) -> R + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<(J, usize)>();
        let (done, results) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let work = Arc::new(work);
        let mut pool = Self {
            jobs: Some(jobs),
            results,
            threads: Vec::new(),
            open: 0,
            load: 0,
            capacity,
        };
        let _masked = MaskedSignals::new();
        for _ in 0..size {
            let (queue, done, work) = (queue.clone(), done.clone(), work.clone());
            let thread = thread::Builder::new()
                .name("osrm_matcher".into())
                .spawn(move || {
                    loop {
                        let job = queue.lock().unwrap_or_else(|e| e.into_inner()).recv();
                        let Ok((job, weight)) = job else { break };
                        let result = catch_unwind(AssertUnwindSafe(|| work(job)));
                        if done.send((result, weight)).is_err() {
                            break;
                        }
                    }
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Hands a job to whichever thread is free first.
    pub fn submit(&mut self, job: J, weight: usize) {
        if let Some(jobs) = &self.jobs
            && jobs.send((job, weight)).is_ok()
        {
            self.open += 1;
            self.load += weight;
        }
    }

    /// Whether the next job had better wait until some of the open ones are received.
    pub fn is_full(&self) -> bool {
        self.load > self.capacity
    }

    /// Jobs that were submitted and have not been received yet.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The next result, in whatever order they come; `None` if there is none within `wait`. A
    /// panic of the job comes as the error.
    pub fn receive(&mut self, wait: Duration) -> Option<thread::Result<R>> {
        match self.results.recv_timeout(wait) {
            Ok((result, weight)) => {
                self.open -= 1;
                self.load -= weight;
                Some(result)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

impl<J, R> Drop for Pool<J, R> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread cannot panic outside of a job, and a job's panic is caught.
            let _ = thread.join();
        }
    }
}

/// Blocks all signals of this thread while it lives; threads started meanwhile inherit that.
struct MaskedSignals(libc::sigset_t);

impl MaskedSignals {
    fn new() -> Self {
        // SAFETY: both sets are initialised by the calls that receive them.
        unsafe {
            let mut all = std::mem::zeroed();
            let mut before = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
            Self(before)
        }
    }
}

impl Drop for MaskedSignals {
    fn drop(&mut self) {
        // SAFETY: restores the mask that `new` saved.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn every_job_gives_one_result() {
        let mut pool = Pool::start(3, 0, |n: u64| n * n).unwrap();
        (0..100).for_each(|n| pool.submit(n, 1));
        let mut squares: Vec<u64> = (0..100)
            .map(|_| pool.receive(LIMIT).unwrap().unwrap())
            .collect();
        squares.sort_unstable();
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
        assert_eq!(pool.open(), 0);
    }

    #[test]
    fn a_panic_ends_its_job_only() {
        let mut pool = Pool::start(1, 0, |n: u8| if n == 0 { panic!("zero") } else { n }).unwrap();
        pool.submit(0, 1);
        pool.submit(7, 1);
        assert!(pool.receive(LIMIT).unwrap().is_err());
        assert_eq!(pool.receive(LIMIT).unwrap().unwrap(), 7);
    }

    #[test]
    fn a_pool_is_full_while_its_open_jobs_weigh_more_than_it_is_for() {
        let mut pool = Pool::start(2, 100, |n: u8| n).unwrap();
        pool.submit(1, 50);
        pool.submit(2, 50);
        assert!(!pool.is_full());
        pool.submit(3, 50);
        assert!(pool.is_full(), "what is done weighs until it is received");
        assert!(pool.receive(LIMIT).is_some());
        assert!(!pool.is_full());
        assert!(pool.receive(LIMIT).is_some());
        assert!(pool.receive(LIMIT).is_some());
        pool.submit(4, 100);
        assert!(!pool.is_full());
    }

    #[test]
    fn threads_see_no_signals() {
        let mut pool = Pool::start(1, 0, |_: ()| unsafe {
            let mut mask = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
            libc::sigismember(&mask, libc::SIGINT) == 1
                && libc::sigismember(&mask, libc::SIGTERM) == 1
        })
        .unwrap();
        pool.submit((), 1);
        assert!(pool.receive(LIMIT).unwrap().unwrap());
    }
}
