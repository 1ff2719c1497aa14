//! OSRM's `/match` service: what is asked, what comes back, and what can go wrong.
//!
//! Everything here but `client`, and `session` that asks through it, is pure: no Postgres, no
//! sockets.

pub mod client;
pub mod reply;
pub mod request;
pub mod response;
mod session;

pub use request::{MatchRequest, RequestPoint};
#[cfg(test)]
pub use response::{Leg, Matching};
pub use response::{MatchAnswer, Tracepoint};
pub use session::Session;

/// Whoever can answer a match request: a session of the HTTP client, or a fake in a unit test.
pub trait Matcher {
    /// Matches one trace of at least two points.
    fn ask(&self, request: &MatchRequest) -> Result<MatchAnswer, MatchError>;

    /// The largest number of points that one request may hold at the moment. It can only shrink
    /// while a run lasts: a server that answers `TooBig` lowers it.
    fn max_size(&self) -> usize;

    /// A number that stands for the servers and the profile: what others know of the roads is not the same.
    fn roads(&self) -> u64 {
        0
    }

    /// Whether there is time to begin another window.
    fn goes_on(&self) -> bool {
        true
    }
}

/// A refusal that no repetition mends: OSRM understood the question and has no answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// OSRM's own code, for example `NoSegment` or `NoMatch`.
    pub code: String,
    /// OSRM's own words.
    pub message: String,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchError {
    /// Final for these points: they become a raw path.
    Refused(Refusal),
    /// More points than the server takes; the client has lowered `max_size` already.
    TooBig,
    /// No answer in time. The server goes on computing, so the same request must not be repeated.
    TimedOut,
    /// Transient: connection, 5xx, an answer that is none. The text says what was seen.
    Unavailable(String),
    /// The run was cancelled.
    Cancelled,
}
