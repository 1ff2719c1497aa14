//! One server: how it is asked, and whether it is asked at all.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Error as HttpError, Timeout};

use super::resolver::Once;
use super::{ClientSettings, is_secure};
use crate::osrm::reply::{Away, Reply};
use crate::osrm::response::bounded;

/// A server closes idle connections after 5 s; ours must be given up before.
const IDLE: Duration = Duration::from_secs(4);
/// No honest answer to a request of the size limit comes near this.
const LARGEST_ANSWER: u64 = 64 << 20;
/// A probe answers in milliseconds or tells us that the server is not well: no longer wait is needed,
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// but for servers that are known to be slow: this share of what a request may take.
const PROBE_SHARE: f64 = 0.3;
/// A server that failed is left out for so long, unless it says for how long itself: no shorter than a
/// scheduled run, so that a dead one costs a run one probe at most.
const LEFT_OUT: Duration = Duration::from_secs(60);

/// A server that is not asked for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub server: String,
    pub why: String,
    pub since: SystemTime,
    /// Until when; nothing: until the next run.
    pub until: Option<SystemTime>,
    /// The server itself wants to be left alone until then.
    pub at_its_wish: bool,
}

/// What a healthy server says of itself.
#[derive(Debug, Clone)]
pub struct Health {
    pub round_trip: Duration,
    pub data_version: Option<String>,
}

pub struct Server {
    pub address: String,
    agent: Agent,
    /// Why it is not asked at all.
    unusable: Option<String>,
    profile: String,
    probe_timeout: Duration,
    cancelled: Arc<AtomicBool>,
    requests: AtomicUsize,
    answered: AtomicU64,
    /// Microseconds that it took for that, all together.
    spent: AtomicU64,
    left_out: Mutex<Option<LeftOut>>,
    /// When it was asked for a sign of life; locked while it is.
    probed: Mutex<Option<Instant>>,
}

impl Server {
    /// `believed` are the authorities whose certificates are, or why they are not known.
    pub fn new(
        address: String,
        settings: &ClientSettings,
        believed: &Result<RootCerts, String>,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        let roots = believed.clone().unwrap_or(RootCerts::WebPki);
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
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Self {
            unusable: believed
                .as_ref()
                .err()
                .filter(|_| is_secure(&address))
                .cloned(),
            address,
            agent: Agent::with_parts(config, DefaultConnector::default(), Once::default()),
            profile: settings.profile.clone(),
            probe_timeout: PROBE_TIMEOUT.max(settings.request_timeout.mul_f64(PROBE_SHARE)),
            cancelled,
            requests: AtomicUsize::new(0),
            answered: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            left_out: Mutex::new(None),
            probed: Mutex::new(None),
        }
    }

    /// Ends every request under way.
    pub fn shut_down(&self) {
        self.agent.clone().shutdown();
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Requests under way.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Match requests that it answered in time, whatever the answer.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub fn count_answer(&self, took: Duration) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.spent
            .fetch_add(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// How long an answer takes it, on average.
    pub fn usual_time(&self) -> Duration {
        Duration::from_micros(self.spent.load(Ordering::Relaxed) / self.answered().max(1))
    }

    /// Why and until when it is left out, if it is.
    pub fn left_out(&self) -> Option<LeftOut> {
        lock(&self.left_out).clone()
    }

    pub fn is_left_out(&self) -> bool {
        lock(&self.left_out).is_some()
    }

    /// Takes what an earlier run knew.
    pub fn recall(&self, known: LeftOut) {
        *lock(&self.left_out) = Some(known);
    }

    pub fn leave_out(&self, away: Away) {
        let mut left_out = lock(&self.left_out);
        let now = SystemTime::now();
        *left_out = Some(LeftOut {
            server: self.address.clone(),
            since: left_out.as_ref().map_or(now, |before| before.since),
            until: Some(now + away.pause.unwrap_or(LEFT_OUT)),
            at_its_wish: away.pause.is_some(),
            why: away.why,
        });
    }

    /// Whether this client has asked it for a sign of life, or is about to.
    pub fn is_probed(&self) -> bool {
        self.probed.try_lock().map_or(true, |at| at.is_some())
    }

    pub fn is_being_probed(&self) -> bool {
        self.probed.try_lock().is_err()
    }

    /// Whether it has given a sign of life, and has not failed since.
    pub fn is_there(&self) -> bool {
        let probed = self.probed.try_lock().is_ok_and(|at| at.is_some());
        probed && !self.is_left_out()
    }

    /// Waits for the end of a probe under way.
    pub fn wait_for_probe(&self) {
        drop(lock(&self.probed));
    }

    /// Asks for a sign of life, unless another thread has asked since a moment; says whether the
    /// server is there, and leaves it out if not.
    pub fn probe(&self, since: Instant) -> bool {
        let mut probed = lock(&self.probed);
        if self.is_cancelled() {
            return false;
        }
        if probed.is_none_or(|at| at <= since) {
            let sign = self.sign_of_life("match", "0,0;0,0.001?radiuses=1;1");
            // Our own end of the connection must not be taken for the server's.
            if self.is_cancelled() {
                return false;
            }
            match sign {
                Ok(_) => *lock(&self.left_out) = None,
                Err(away) => self.leave_out(away),
            }
            *probed = Some(Instant::now());
        }
        !self.is_left_out()
    }

    /// What the server says of itself.
    pub fn health(&self) -> Result<Health, Away> {
        self.sign_of_life("nearest", "0,0?generate_hints=false")
    }

    /// One small request, about a place where hardly a map has a road: that there is none is an answer, too.
    fn sign_of_life(&self, service: &str, question: &str) -> Result<Health, Away> {
        #[derive(serde::Deserialize)]
        struct Sign {
            code: String,
            #[serde(default)]
            message: String,
            data_version: Option<String>,
        }
        if let Some(why) = &self.unusable {
            return Err(Away::because(why.clone()));
        }
        let begin = Instant::now();
        let path = format!("/{service}/v1/{}/{question}", self.profile);
        let reply = self
            .fetch_on_live_connection(&path, self.probe_timeout)
            .map_err(|error| Away::because(self.describe_probe(&error)))?;
        let round_trip = begin.elapsed();
        if let Some(away) = reply.turned_away() {
            return Err(away);
        }
        match serde_json::from_slice::<Sign>(&reply.body) {
            Ok(sign) if reply.status < 500 => match sign.code.as_str() {
                "Ok" | "NoSegment" | "NoMatch" => Ok(Health {
                    round_trip,
                    data_version: sign.data_version,
                }),
                // It would refuse every window alike, which is not what their points deserve.
                _ => Err(Away::because(format!(
                    "OSRM refuses every request: {}: {}; an address ends before /match, as http://10.0.0.1:5000 does",
                    bounded(sign.code),
                    bounded(sign.message)
                ))),
            },
            _ => Err(Away::because(reply.describe())),
        }
    }

    fn describe_probe(&self, error: &HttpError) -> String {
        match error {
            HttpError::Timeout(Timeout::Resolve | Timeout::Connect) => describe(error),
            HttpError::Timeout(_) => format!(
                "{}: no sign of life within {:?}; a server that is that slow needs a greater osrm_matcher.request_timeout, \
                 of which this is {PROBE_SHARE}, and {PROBE_TIMEOUT:?} at least",
                describe(error),
                self.probe_timeout
            ),
            other => match describe(other) {
                why if why.contains("unknownissuer") => format!(
                    "{why}: nobody whose certificates are believed has signed it; osrm_matcher.ca_file names others"
                ),
                why => why,
            },
        }
    }

    /// Asks over a connection that has not been idle for as long, or a new one.
    fn fetch(&self, path: &str, limit: Duration, idle: Duration) -> Result<Reply, HttpError> {
        let url = format!("{}{path}", self.address);
        let request = self.agent.get(&url).config().max_idle_age(idle);
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

    /// The server closes a connection after 512 requests or 5 s, and a load balancer once the server behind it is
    /// down; a request that meets this is repeated once on a new connection: the others that are kept may be closing, too.
    pub fn fetch_on_live_connection(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<Reply, HttpError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let reply = match self.fetch(path, limit, IDLE) {
            Err(HttpError::Io(_) | HttpError::Protocol(_) | HttpError::ConnectionFailed)
                if !self.is_cancelled() =>
            {
                self.fetch(path, limit, Duration::ZERO)
            }
            other => other,
        };
        self.requests.fetch_sub(1, Ordering::Relaxed);
        reply
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// An HTTP error in words that carry neither credentials nor the points' coordinates.
pub fn describe(error: &HttpError) -> String {
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// Reads a request, does something, and answers.
    fn answer(mut stream: &TcpStream, before: impl FnOnce()) {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        before();
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(reply).unwrap();
    }

    #[test]
    fn a_request_that_meets_a_closing_connection_is_not_repeated_on_another_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let settings = ClientSettings::of_tests(&address);
        let server = Server::new(address, &settings, &Ok(RootCerts::WebPki), Arc::default());
        // Two connections at once, each of which ends when it is asked once more; a third that does not.
        thread::spawn(move || {
            let both = Arc::new(Barrier::new(2));
            for nth in 0..3 {
                let (stream, both) = (listener.accept().unwrap().0, both.clone());
                thread::spawn(move || {
                    answer(&stream, || {
                        if nth < 2 {
                            both.wait();
                        }
                    });
                    let _ = BufReader::new(&stream).read_line(&mut String::new());
                });
            }
        });
        let ask = || server.fetch_on_live_connection("/", Duration::from_secs(10));
        thread::scope(|scope| {
            let first = [scope.spawn(ask), scope.spawn(ask)];
            assert!(first.into_iter().all(|asked| asked.join().unwrap().is_ok()));
        });
        assert!(ask().is_ok());
    }
}
