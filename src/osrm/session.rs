//! A client as one job asks it: how long the job waits for a server that does not answer.
//!
//! A request that timed out is asked again in a smaller form (see `track`). The smaller form costs
//! the server a fraction, so it gets half the time; and a job that has waited four times gives up.
//! So one poisonous window takes a thread for less than twice the time-out of a request.
//! Requests after that are at most half as long as those that were too much.

use std::cell::Cell;
use std::time::Duration;

use super::client::{Client, SMALLEST_SIZE};
use super::{MatchAnswer, MatchError, MatchRequest, Matcher};

/// Time-outs after which a job gives up.
const MOST_TIMEOUTS: u32 = 4;

/// The client, as one job asks it.
pub struct Session<'a> {
    client: &'a Client,
    limit: Duration,
    timeouts: Cell<u32>,
    /// The most points that a request of this job may hold, for the time it takes.
    size: Cell<usize>,
    lost: Cell<bool>,
}

impl<'a> Session<'a> {
    pub fn new(client: &'a Client, limit: Duration) -> Self {
        Self {
            client,
            limit,
            timeouts: Cell::new(0),
            size: Cell::new(usize::MAX),
            lost: Cell::new(false),
        }
    }

    /// Whether a request was not answered in time: an outcome is made of smaller ones then.
    pub fn has_waited_in_vain(&self) -> bool {
        self.timeouts.get() > 0
    }

    /// Whether the window in hand when the job was ended is to blame for that end.
    pub fn is_lost(&self) -> bool {
        self.lost.get()
    }
}

impl Matcher for Session<'_> {
    fn ask(&self, request: &MatchRequest) -> Result<MatchAnswer, MatchError> {
        let timeouts = self.timeouts.get();
        if timeouts >= MOST_TIMEOUTS {
            self.lost.set(true);
            return Err(MatchError::Cancelled);
        }
        let asked = self.client.ask(request, self.limit / (1 << timeouts));
        if asked.answer == Err(MatchError::TimedOut) {
            self.timeouts.set(timeouts + 1);
            let half = (request.points.len() / 2).max(SMALLEST_SIZE);
            self.size.set(self.size.get().min(half));
        }
        // The run's time was up.
        if asked.stuck {
            self.lost.set(true);
        }
        asked.answer
    }

    fn max_size(&self) -> usize {
        self.client.max_size().min(self.size.get())
    }

    fn roads(&self) -> u64 {
        self.client.roads()
    }

    fn goes_on(&self) -> bool {
        self.client.may_begin()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::osrm::RequestPoint;
    use crate::osrm::client::ClientSettings;

    fn request(size: usize) -> MatchRequest {
        let point = RequestPoint {
            lon: 25.0,
            lat: 60.0,
            time: 0,
            radius: 5.0,
            course: None,
        };
        MatchRequest {
            points: vec![point; size],
        }
    }

    #[test]
    fn a_job_gives_up_on_a_server_that_never_answers() {
        // The system takes connections that nobody serves.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", silent.local_addr().unwrap());
        let client = Client::new(&ClientSettings::of_tests(address)).unwrap();
        let session = Session::new(&client, Duration::from_millis(200));
        for size in [100, 50, 25, 12] {
            assert_eq!(session.max_size(), size);
            assert!(!session.is_lost());
            assert_eq!(session.ask(&request(size)), Err(MatchError::TimedOut));
        }
        assert_eq!(session.ask(&request(6)), Err(MatchError::Cancelled));
        assert!(session.is_lost());
        assert_eq!(client.calls(), u64::from(MOST_TIMEOUTS));
    }
}
