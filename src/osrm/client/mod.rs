//! The HTTP client: the only place that opens a connection.
//!
//! Its methods run on threads that know nothing of Postgres; a run shares one client. Requests go round its servers;
//! what one of them fails at is asked of another before it counts as failed.

mod address;
mod authorities;
mod resolver;
mod server;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ureq::tls::RootCerts;
use ureq::{Error as HttpError, Timeout};

use super::reply::Away;
use super::{MatchAnswer, MatchError, MatchRequest};
pub use address::{BadSetting, check_profile, check_servers, check_settings};
pub use server::{Health, LeftOut};
use server::{Server, describe};

/// Below this a request cannot be cut any further.
pub const SMALLEST_SIZE: usize = 4;
/// A request that has taken this long, and so many times what the server's answers take, is no ordinary one.
const SLOW: Duration = Duration::from_millis(500);
const UNUSUAL: u32 = 4;

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Addresses of the servers, as the setting has them.
    pub servers: String,
    pub profile: String,
    /// A file of the authorities that are believed in place of the public ones; empty: those.
    pub ca_file: String,
    pub connect_timeout: Duration,
    /// The longest wait for an answer to a request of full size.
    pub request_timeout: Duration,
    pub max_matching_size: usize,
    /// Connections kept open to each server: one a thread.
    pub connections: usize,
}

#[cfg(test)]
impl ClientSettings {
    /// Servers that tests ask.
    pub fn of_tests(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            profile: "driving".into(),
            ca_file: String::new(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            max_matching_size: 100,
            connections: 2,
        }
    }
}

/// A run's connections to OSRM.
pub struct Client {
    servers: Vec<Server>,
    profile: String,
    /// Whose turn it is.
    turn: AtomicUsize,
    max_size: AtomicUsize,
    calls: AtomicU64,
    has_begun: AtomicBool,
    winding_up: AtomicBool,
    cancelled: Arc<AtomicBool>,
}

/// What came of a request.
#[derive(Debug)]
pub struct Asked {
    pub answer: Result<MatchAnswer, MatchError>,
    /// It was ended while its server had answers for others: it is not the server.
    pub stuck: bool,
}

impl Client {
    /// Checks the addresses and the profile; opens no connection yet. The error says what is wrong with them.
    pub fn new(settings: &ClientSettings) -> Result<Self, BadSetting> {
        let servers = check_settings(&settings.servers, &settings.profile)?;
        let cancelled = Arc::new(AtomicBool::new(false));
        let believed = match settings.ca_file.as_str() {
            file if !file.is_empty() && servers.iter().any(|a| is_secure(a)) => {
                authorities::read(file)
            }
            _ => Ok(RootCerts::WebPki),
        };
        Ok(Self {
            servers: servers
                .into_iter()
                .map(|address| Server::new(address, settings, &believed, cancelled.clone()))
                .collect(),
            profile: settings.profile.clone(),
            turn: AtomicUsize::new(0),
            max_size: AtomicUsize::new(settings.max_matching_size),
            calls: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            winding_up: AtomicBool::new(false),
            cancelled,
        })
    }

    /// Takes what an earlier run knew of servers that failed.
    pub fn recall(&self, known: &[LeftOut]) {
        for server in &self.servers {
            if let Some(known) = known.iter().find(|k| k.server == server.address) {
                server.recall(known.clone());
            }
        }
    }

    /// Ends every request under way and refuses new ones.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.servers.iter().for_each(Server::shut_down);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Has whoever asks end what is begun, and begin nothing else.
    pub fn wind_up(&self) {
        self.winding_up.store(true, Ordering::Relaxed);
    }

    /// Whether somebody who asks now may begin something: the first one may in any case, so that each run gets on.
    pub fn may_begin(&self) -> bool {
        !self.has_begun.swap(true, Ordering::Relaxed) || !self.winding_up.load(Ordering::Relaxed)
    }

    /// Requests sent so far, probes left out.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The most points that a request may hold at the moment.
    pub fn max_size(&self) -> usize {
        self.max_size.load(Ordering::Relaxed)
    }

    /// A number that stands for the servers, in their order, and the profile.
    pub fn roads(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.addresses()
            .for_each(|address| address.hash(&mut hasher));
        self.profile.hash(&mut hasher);
        hasher.finish()
    }

    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|server| server.address.as_str())
    }

    /// Why OSRM as a whole is held for away, if no server is left.
    pub fn away(&self) -> Option<Away> {
        let left_out: Vec<LeftOut> = (self.servers.iter())
            .map(Server::left_out)
            .collect::<Option<_>>()?;
        let now = SystemTime::now();
        let pauses: Option<Vec<Duration>> = (left_out.iter())
            .map(|server| {
                let until = server.until.filter(|_| server.at_its_wish)?;
                Some(until.duration_since(now).unwrap_or_default())
            })
            .collect();
        Some(Away {
            why: in_words(&left_out),
            pause: pauses.and_then(|pauses| pauses.into_iter().min()),
        })
    }

    /// Servers that are left out. While all are, the next run asks each of them, but for those that want to be left
    /// alone.
    pub fn left_out(&self) -> Vec<LeftOut> {
        let mut left_out: Vec<LeftOut> =
            (self.servers.iter()).filter_map(Server::left_out).collect();
        if left_out.len() == self.servers.len() {
            for server in left_out.iter_mut().filter(|s| !s.at_its_wish) {
                server.until = None;
            }
        }
        left_out
    }

    /// Servers that are to be asked for a sign of life, by number: those that have not been, and those of which the
    /// time is over for which they are left out.
    pub fn due(&self) -> Vec<usize> {
        self.numbers(|server| match server.left_out() {
            None => !server.is_probed(),
            Some(left_out) => is_over(&left_out),
        })
    }

    /// Servers that were left out when this client began, and need not be.
    pub fn unprobed(&self) -> Vec<usize> {
        self.numbers(|server| !server.is_probed() && may_be_asked(server))
    }

    fn numbers(&self, chosen: impl Fn(&Server) -> bool) -> Vec<usize> {
        (0..self.servers.len())
            .filter(|number| chosen(&self.servers[*number]))
            .collect()
    }

    /// Asks one of those for a sign of life.
    pub fn probe_one(&self, number: usize) {
        self.servers[number].probe(Instant::now());
    }

    /// Whether a server has given a sign of life, and is in use.
    pub fn is_ready(&self) -> bool {
        self.servers.iter().any(Server::is_there)
    }

    /// Asks for a sign of life, unless all servers are known to be away; says whether one is there. Threads that
    /// come at the same time share one question.
    pub fn probe(&self) -> bool {
        let since = Instant::now();
        let there = |server: &Server| !server.is_left_out() && server.probe(since);
        !self.is_cancelled() && self.servers.iter().any(there)
    }

    /// What a server says of itself.
    pub fn health(&self, number: usize) -> Result<Health, Away> {
        self.servers[number].health()
    }

    /// Matches one trace, waiting no longer than `limit` for a server. A server that fails at what another one
    /// answers is left out; what two do not answer in time is too much for any.
    pub fn ask(&self, request: &MatchRequest, limit: Duration) -> Asked {
        let size = request.points.len();
        if !self.is_cancelled() && size > self.max_size() {
            return Asked::of(Err(MatchError::TooBig));
        }
        let path = request.path(&self.profile);
        let mut failed: Vec<(&Server, MatchError)> = Vec::new();
        while let Some(server) = self.next_server(&failed) {
            let (begin, answered) = (Instant::now(), server.answered());
            let answer = self.ask_one(server, &path, limit);
            if self.is_cancelled() {
                let slow = SLOW.max(UNUSUAL * server.usual_time());
                let stuck = begin.elapsed() > slow && server.answered() > answered;
                let answer = Err(MatchError::Cancelled);
                return Asked { answer, stuck };
            }
            match answer {
                Err(
                    error @ (MatchError::TimedOut
                    | MatchError::Unavailable(_)
                    | MatchError::Cancelled),
                ) => failed.push((server, error)),
                answer => {
                    leave_out(failed);
                    if answer == Err(MatchError::TooBig) {
                        let half = (size / 2).max(SMALLEST_SIZE);
                        self.max_size.fetch_min(half, Ordering::Relaxed);
                    }
                    return Asked::of(answer);
                }
            }
            if timeouts(&failed) == 2 {
                break;
            }
        }
        Asked::of(Err(what_counts(failed)))
    }

    /// The server that has least to do, each in its turn where several have the same, but for those that failed at
    /// the same request. If those are all, servers that are left out are looked at once more.
    fn next_server(&self, failed: &[(&Server, MatchError)]) -> Option<&Server> {
        let untried = |server: &&Server| !failed.iter().any(|(f, _)| std::ptr::eq(*f, *server));
        while !self.is_cancelled() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len();
            let (before, from) = self.servers.split_at(turn);
            let free = from
                .iter()
                .chain(before)
                .filter(|server| untried(server) && !server.is_left_out())
                .min_by_key(|server| (server.is_being_probed(), server.requests()));
            match free {
                Some(server) if server.is_being_probed() => server.wait_for_probe(),
                Some(server) => return Some(server),
                None if failed.is_empty() => return None,
                None => {
                    let since = Instant::now();
                    return (self.servers.iter())
                        .filter(untried)
                        .find(|server| may_be_asked(server) && server.probe(since));
                }
            }
        }
        None
    }

    /// What a server says; one that wants to be left alone is, and the request with it.
    fn ask_one(
        &self,
        server: &Server,
        path: &str,
        limit: Duration,
    ) -> Result<MatchAnswer, MatchError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let begin = Instant::now();
        let answer = match server.fetch_on_live_connection(path, limit) {
            Ok(reply) => match reply.turned_away() {
                Some(away) => {
                    server.leave_out(away);
                    Err(MatchError::Cancelled)
                }
                None => reply.answer(),
            },
            Err(HttpError::Timeout(phase))
                if !matches!(phase, Timeout::Resolve | Timeout::Connect) =>
            {
                Err(MatchError::TimedOut)
            }
            Err(error) => Err(MatchError::Unavailable(describe(&error))),
        };
        if !matches!(
            answer,
            Err(MatchError::TimedOut | MatchError::Unavailable(_))
        ) {
            server.count_answer(begin.elapsed());
        }
        answer
    }
}

impl Asked {
    fn of(answer: Result<MatchAnswer, MatchError>) -> Self {
        let stuck = false;
        Self { answer, stuck }
    }
}

/// Whether a server shows a certificate.
fn is_secure(address: &str) -> bool {
    address.starts_with("https:")
}

/// Leaves out servers that failed where another one did not.
fn leave_out(failed: Vec<(&Server, MatchError)>) {
    for (server, error) in failed {
        match error {
            MatchError::TimedOut => server.leave_out(Away::because("no answer in time")),
            MatchError::Unavailable(why) => server.leave_out(Away::because(why)),
            _ => {}
        }
    }
}

fn timeouts(failed: &[(&Server, MatchError)]) -> usize {
    let timed_out = |f: &&(&Server, MatchError)| f.1 == MatchError::TimedOut;
    failed.iter().filter(timed_out).count()
}

/// What a request comes to that no server has answered: a time-out says most about it, a server that wants to be
/// left alone nothing.
fn what_counts(failed: Vec<(&Server, MatchError)>) -> MatchError {
    if timeouts(&failed) > 0 {
        return MatchError::TimedOut;
    }
    let unavailable = |error: &MatchError| matches!(error, MatchError::Unavailable(_));
    let mut errors = failed.into_iter().map(|(_, error)| error);
    errors.find(unavailable).unwrap_or(MatchError::Cancelled)
}

/// Whether nothing but our own caution keeps us from asking a server.
fn may_be_asked(server: &Server) -> bool {
    let at_its_wish = |left_out: LeftOut| left_out.at_its_wish && !is_over(&left_out);
    !server.left_out().is_some_and(at_its_wish)
}

/// Whether the time is over for which a server is left out.
fn is_over(left_out: &LeftOut) -> bool {
    left_out
        .until
        .is_none_or(|until| until <= SystemTime::now())
}

fn in_words(left_out: &[LeftOut]) -> String {
    match left_out {
        [only] => only.why.clone(),
        several => (several.iter().zip(1..))
            .map(|(server, number)| format!("server {number}: {}", server.why))
            .collect::<Vec<_>>()
            .join("; "),
    }
}
