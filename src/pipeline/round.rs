//! How long a round lasts, and the waiting for what its threads do.

use std::time::{Duration, Instant};

use super::groups::Groups;
use super::matching::POLL;
use super::writing::Outbox;
use crate::backend;
use crate::error::Error;
use crate::store::RunRow;
use crate::track::Micros;

/// Results are written in lots of this many windows while the threads go on.
pub const LOT: usize = 128;
/// So long a round of the procedure begins windows: it holds the rows of points that it has marked, and commits when
/// it ends, whatever the time that OSRM takes.
const ROUND_TIME: Duration = Duration::from_secs(2);
/// Windows of one device that are read together hold a day at most.
const DAY: Micros = 24 * 3_600_000_000;
/// What that may take of a device that reports ten times a second, on a busy machine: a million points are read, and marked,
/// and finished windows that they reach are with them.
const DENSE_DAY: Duration = Duration::from_secs(80);

/// How a round came out.
pub enum Round {
    /// So many windows are worked off.
    Whole(usize),
    /// Its time was up: what is left of it is the next round's.
    CutShort,
    /// The run had better end.
    Last,
}

/// For how long a round begins windows. Several must end within what a statement may take, for the procedure is one,
/// and each is a transaction.
pub fn round_time() -> Duration {
    let share = backend::time_limit().map(|limit| limit / 3);
    let least = Duration::from_millis(100);
    share.map_or(ROUND_TIME, |share| share.clamp(least, ROUND_TIME))
}

/// How many windows of a device a round takes: so many that they end within what a statement may take, however dense
/// their points are, for at least one device's are worked off in each round.
pub fn most_of_a_device(window: Micros) -> usize {
    let share = backend::time_limit().map_or(1.0, |limit| limit.div_duration_f64(DENSE_DAY));
    (((DAY / window) as f64 * share.min(1.0)) as usize).max(1)
}

/// When a round's time and that of its run are up.
pub struct Bounds {
    pub run: Instant,
    pub round: Option<Instant>,
}

impl Bounds {
    /// Has the round end with the windows that are begun if its time is up; says whether it is.
    pub fn wind_up(&self, groups: &Groups, outbox: &mut Outbox) -> bool {
        let up = self.round.is_some_and(|end| Instant::now() >= end);
        if up {
            groups.wind_up();
            outbox.wind_up();
        }
        up
    }
}

/// Takes in what is matched, and waits for more as long as there is `too_much` under way; ends all
/// requests at the run's end.
pub fn collect(
    groups: &mut Groups,
    outbox: &mut Outbox,
    report: &mut RunRow,
    bounds: &Bounds,
    too_much: impl Fn(&Groups) -> bool,
) -> Result<(), Error> {
    loop {
        let waits = too_much(groups);
        if waits && Instant::now() >= bounds.run {
            groups.cancel();
        } else if waits {
            bounds.wind_up(groups, outbox);
        }
        let pause = if waits { POLL } else { Duration::ZERO };
        match groups.receive(pause)? {
            Some(done) => {
                outbox.put(done);
                outbox.write_if(LOT, report)?;
            }
            None if waits => {}
            None => return Ok(()),
        }
    }
}
