//! The HTTP client: the only place that opens a connection.
//!
//! Its methods run on threads that know nothing of Postgres; a run shares one client.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::{Agent, Error as HttpError, Timeout};

use super::{MatchAnswer, MatchError, MatchRequest, Matcher, response};

/// A server closes idle connections after 5 s; ours must be given up before.
const IDLE: Duration = Duration::from_secs(4);
/// No honest answer to a request of the size limit comes near this.
const LARGEST_ANSWER: u64 = 64 << 20;
/// A probe answers in milliseconds or tells us that the server is not well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Below this a request cannot be cut any further.
const SMALLEST_SIZE: usize = 4;

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    pub url: String,
    pub profile: String,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
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
    cancelled: AtomicBool,
    /// Set once a probe found that the server as a whole is away.
    away: Mutex<Option<String>>,
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
            // The address itself may carry a login; ureq would log neither, but an error could.
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_global(Some(settings.request_timeout))
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
            cancelled: AtomicBool::new(false),
            away: Mutex::new(None),
        })
    }

    /// Ends every request under way and refuses new ones.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.agent.clone().shutdown();
    }

    /// Requests sent so far, probes left out.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Why the server as a whole is held for away, if it is.
    pub fn away(&self) -> Option<String> {
        self.away.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// Asks the server for a sign of life, unless it is known to be away; says whether it is
    /// there. Threads that come at the same time share one question.
    pub fn probe(&self) -> bool {
        let mut away = self.away.lock().unwrap_or_else(|e| e.into_inner());
        if away.is_none()
            && let Err(why) = self.health()
        {
            *away = Some(why);
        }
        away.is_none()
    }

    /// One small request; any answer that is OSRM's own will do.
    pub fn health(&self) -> Result<Health, String> {
        #[derive(serde::Deserialize)]
        struct Sign {
            #[serde(rename = "code")]
            _code: String,
            data_version: Option<String>,
        }
        let begin = Instant::now();
        let path = format!("/nearest/v1/{}/0,0?generate_hints=false", self.profile);
        let (status, body) = self
            .fetch(&path, Some(PROBE_TIMEOUT))
            .map_err(|e| self.describe(&e))?;
        let round_trip = begin.elapsed();
        match serde_json::from_slice::<Sign>(&body) {
            Ok(sign) if status < 500 => Ok(Health {
                round_trip,
                data_version: sign.data_version,
            }),
            _ => Err(unusable(status, &body)),
        }
    }

    fn fetch(&self, path: &str, limit: Option<Duration>) -> Result<(u16, Vec<u8>), HttpError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        if limit.is_some() {
            request = request.config().timeout_global(limit).build();
        }
        let mut response = request.call()?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(LARGEST_ANSWER)
            .read_to_vec()?;
        Ok((status, body))
    }

    /// The server closes a connection after 512 requests or 5 s; a request that meets this is
    /// repeated once on a new connection.
    fn fetch_on_live_connection(&self, path: &str) -> Result<(u16, Vec<u8>), HttpError> {
        match self.fetch(path, None) {
            Err(HttpError::Io(_) | HttpError::Protocol(_) | HttpError::ConnectionFailed)
                if !self.cancelled.load(Ordering::Relaxed) =>
            {
                self.fetch(path, None)
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
}

impl Matcher for Client {
    fn ask(&self, request: &MatchRequest) -> Result<MatchAnswer, MatchError> {
        if self.cancelled.load(Ordering::Relaxed) || self.away().is_some() {
            return Err(MatchError::Cancelled);
        }
        if request.points.len() > self.max_size() {
            return Err(MatchError::TooBig);
        }
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = match self.fetch_on_live_connection(&request.path(&self.profile)) {
            Ok((status @ (200 | 400), body)) => {
                response::parse(&body).map_err(|error| match error {
                    MatchError::Unavailable(why) => {
                        MatchError::Unavailable(format!("HTTP {status}: {why}"))
                    }
                    other => other,
                })
            }
            Ok((status, body)) => Err(MatchError::Unavailable(unusable(status, &body))),
            Err(HttpError::Timeout(Timeout::Resolve | Timeout::Connect)) => Err(
                MatchError::Unavailable("no connection within osrm_matcher.connect_timeout".into()),
            ),
            Err(HttpError::Timeout(_)) => Err(MatchError::TimedOut),
            Err(error) => Err(MatchError::Unavailable(self.describe(&error))),
        };
        match answer {
            _ if self.cancelled.load(Ordering::Relaxed) => Err(MatchError::Cancelled),
            Err(MatchError::TooBig) => {
                let half = (request.points.len() / 2).max(SMALLEST_SIZE);
                self.max_size.fetch_min(half, Ordering::Relaxed);
                Err(MatchError::TooBig)
            }
            answer => answer,
        }
    }

    fn max_size(&self) -> usize {
        self.max_size.load(Ordering::Relaxed)
    }
}

/// An answer that no OSRM gives, in one line.
fn unusable(status: u16, body: &[u8]) -> String {
    match status {
        300..=399 => format!("HTTP {status}: a redirect, which is not followed"),
        429 => "HTTP 429: too many requests".into(),
        _ => {
            let text: String = String::from_utf8_lossy(&body[..body.len().min(120)])
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            format!("HTTP {status}, not an answer of OSRM: {text:?}")
        }
    }
}

fn check_url(url: &str) -> Result<String, String> {
    let trimmed = url.trim().trim_end_matches('/');
    let uri: Uri = trimmed.parse().map_err(|_| "it is not a URL".to_string())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err("it must begin with http:// or https://".into()),
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("it names no host".into());
    }
    if uri.query().is_some() || trimmed.contains('#') {
        return Err("it may hold a path, but no query and no fragment".into());
    }
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err("it must not carry a login; put OSRM behind a network boundary instead".into());
    }
    Ok(trimmed.to_string())
}

fn check_profile(profile: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if profile.is_empty() || !profile.chars().all(plain) {
        return Err("osrm_matcher.profile may hold letters, digits, '_', '-' and '.' only".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_they_are_called() {
        assert_eq!(check_url("http://osrm:5000/").unwrap(), "http://osrm:5000");
        assert_eq!(check_url("https://[::1]/car").unwrap(), "https://[::1]/car");
        for bad in [
            "",
            "osrm:5000",
            "ftp://osrm",
            "file:///etc/passwd",
            "http://",
            "http://osrm/?a=b",
            "http://osrm/#f",
            "http://user:secret@osrm",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_profile_cannot_leave_its_place_in_the_path() {
        assert!(check_profile("driving").is_ok());
        for bad in ["", "a/b", "..\\", "a?b", "a b", "a%2f"] {
            assert!(check_profile(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_body_is_quoted_in_one_short_line() {
        let text = unusable(502, "<html>\n".repeat(1000).as_bytes());
        assert!(text.len() < 200 && !text.contains('\n'), "{text}");
    }
}
