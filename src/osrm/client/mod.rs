//! The HTTP client: the only place that opens a connection.
//!
//! Its methods run on threads that know nothing of Postgres; a run shares one client.

mod address;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::{Agent, Error as HttpError, Timeout};

use super::reply::{Away, Reply};
use super::{MatchAnswer, MatchError, MatchRequest};
use address::{check_profile, check_url};

/// A server closes idle connections after 5 s; ours must be given up before.
const IDLE: Duration = Duration::from_secs(4);
/// No honest answer to a request of the size limit comes near this.
const LARGEST_ANSWER: u64 = 64 << 20;
/// A probe answers in milliseconds or tells us that the server is not well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Below this a request cannot be cut any further.
pub const SMALLEST_SIZE: usize = 4;

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    pub url: String,
    pub profile: String,
    pub connect_timeout: Duration,
    pub max_matching_size: usize,
    /// Connections kept open: one a thread.
    pub connections: usize,
}

/// A run's connection to OSRM.
pub struct Client {
    agent: Agent,
    base: String,
    profile: String,
    max_size: AtomicUsize,
    calls: AtomicU64,
    answered: AtomicU64,
    cancelled: AtomicBool,
    /// Set once the server as a whole is found to be away.
    away: Mutex<Option<Away>>,
}

/// What a healthy server says of itself.
#[derive(Debug, Clone)]
pub struct Health {
    pub round_trip: Duration,
    pub data_version: Option<String>,
}

impl Client {
    /// Checks the address; opens no connection yet. The error says what is wrong with it.
    pub fn new(settings: &ClientSettings) -> Result<Self, String> {
        let base = check_url(&settings.url)?;
        check_profile(&settings.profile)?;
        let config = Agent::config_builder()
            // OSRM says why it refuses in the body of a 400.
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("osrm_matcher/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .max_idle_connections(settings.connections)
            .max_idle_connections_per_host(settings.connections)
            .max_idle_age(IDLE)
            .build();
        Ok(Self {
            agent: config.into(),
            base,
            profile: settings.profile.clone(),
            max_size: AtomicUsize::new(settings.max_matching_size),
            calls: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            away: Mutex::new(None),
        })
    }

    /// Ends every request under way and refuses new ones.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.agent.clone().shutdown();
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Requests sent so far, probes left out.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Match requests that were answered in time, whatever the answer.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Why the server as a whole is held for away, if it is.
    pub fn away(&self) -> Option<Away> {
        self.away.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Asks the server for a sign of life, unless it is known to be away; says whether it is
    /// there. Threads that come at the same time share one question.
    pub fn probe(&self) -> bool {
        let mut away = self.away.lock().unwrap_or_else(|e| e.into_inner());
        if away.is_none()
            && !self.is_cancelled()
            && let Err(trouble) = self.sign_of_life("match", "0,0;0,0.001?radiuses=1;1")
            // Our own end of the connection must not be taken for the server's.
            && !self.is_cancelled()
        {
            *away = Some(trouble);
        }
        away.is_none() && !self.is_cancelled()
    }

    /// What the server says of itself.
    pub fn health(&self) -> Result<Health, Away> {
        self.sign_of_life("nearest", "0,0?generate_hints=false")
    }

    /// One small request; any answer that is OSRM's own will do.
    fn sign_of_life(&self, service: &str, question: &str) -> Result<Health, Away> {
        #[derive(serde::Deserialize)]
        struct Sign {
            #[serde(rename = "code")]
            _code: String,
            data_version: Option<String>,
        }
        let begin = Instant::now();
        let path = format!("/{service}/v1/{}/{question}", self.profile);
        let reply = self
            .fetch(&path, PROBE_TIMEOUT)
            .map_err(|error| Away::because(self.describe(&error)))?;
        let round_trip = begin.elapsed();
        if let Some(away) = reply.turned_away() {
            return Err(away);
        }
        match serde_json::from_slice::<Sign>(&reply.body) {
            Ok(sign) if reply.status < 500 => Ok(Health {
                round_trip,
                data_version: sign.data_version,
            }),
            _ => Err(Away::because(reply.describe())),
        }
    }

    fn fetch(&self, path: &str, limit: Duration) -> Result<Reply, HttpError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.get(&url).config();
        let mut response = request.timeout_global(Some(limit)).build().call()?;
        let retry_after = response.headers().get("retry-after");
        Ok(Reply {
            status: response.status().as_u16(),
            retry_after: retry_after
                .and_then(|v| v.to_str().ok())
                .map(str::to_string),
            body: response
                .body_mut()
                .with_config()
                .limit(LARGEST_ANSWER)
                .read_to_vec()?,
        })
    }

    /// The server closes a connection after 512 requests or 5 s; a request that meets this is
    /// repeated once on a new connection.
    fn fetch_on_live_connection(&self, path: &str, limit: Duration) -> Result<Reply, HttpError> {
        match self.fetch(path, limit) {
            Err(HttpError::Io(_) | HttpError::Protocol(_) | HttpError::ConnectionFailed)
                if !self.is_cancelled() =>
            {
                self.fetch(path, limit)
            }
            other => other,
        }
    }

    /// An HTTP error in words that carry neither credentials nor the points' coordinates.
    fn describe(&self, error: &HttpError) -> String {
        match error {
            HttpError::Timeout(Timeout::Resolve | Timeout::Connect) => {
                "no connection within osrm_matcher.connect_timeout".into()
            }
            HttpError::Timeout(_) => "no answer in time".into(),
            HttpError::HostNotFound => "the host name does not resolve".into(),
            HttpError::BodyExceedsLimit(limit) => format!("an answer of more than {limit} bytes"),
            HttpError::BadUri(_) => "the address is not a valid URL".into(),
            HttpError::Io(cause) => cause.to_string().to_lowercase(),
            other => other.to_string().to_lowercase(),
        }
    }

    /// Matches one trace, waiting no longer than `limit`.
    pub fn ask(&self, request: &MatchRequest, limit: Duration) -> Result<MatchAnswer, MatchError> {
        if self.is_cancelled() || self.away().is_some() {
            return Err(MatchError::Cancelled);
        }
        if request.points.len() > self.max_size() {
            return Err(MatchError::TooBig);
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let path = request.path(&self.profile);
        let answer = match self.fetch_on_live_connection(&path, limit) {
            Ok(reply) => match reply.turned_away() {
                Some(away) => {
                    *self.away.lock().unwrap_or_else(|e| e.into_inner()) = Some(away);
                    Err(MatchError::Cancelled)
                }
                None => reply.answer(),
            },
            Err(HttpError::Timeout(phase))
                if !matches!(phase, Timeout::Resolve | Timeout::Connect) =>
            {
                Err(MatchError::TimedOut)
            }
            Err(error) => Err(MatchError::Unavailable(self.describe(&error))),
        };
        if !matches!(
            answer,
            Err(MatchError::TimedOut | MatchError::Unavailable(_))
        ) {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        match answer {
            _ if self.is_cancelled() => Err(MatchError::Cancelled),
            Err(MatchError::TooBig) => {
                let half = (request.points.len() / 2).max(SMALLEST_SIZE);
                self.max_size.fetch_min(half, Ordering::Relaxed);
                Err(MatchError::TooBig)
            }
            answer => answer,
        }
    }

    /// The most points that a request may hold at the moment.
    pub fn max_size(&self) -> usize {
        self.max_size.load(Ordering::Relaxed)
    }
}
