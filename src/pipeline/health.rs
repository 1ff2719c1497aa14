//! The sign of life that an operator asks for, outside of any run.

use std::sync::Arc;

use super::matching::{POLL, receive};
use crate::error::Error;
use crate::osrm::client::{Client, Health};
use crate::osrm::reply::Away;
use crate::pool::Pool;

/// Asks for a sign of life on a thread of its own, so that a cancel need not wait for the answer.
pub fn ask_health(client: Client) -> Result<Result<Health, Away>, Error> {
    let client = Arc::new(client);
    let asked = client.clone();
    let mut pool = Pool::start(1, 0, move |()| asked.health()).map_err(Error::Threads)?;
    pool.submit((), 0);
    let mut pool = Some(pool);
    while pool.is_some() {
        if let Some(answer) = receive(&mut pool, &client, POLL)? {
            return Ok(answer);
        }
    }
    Err(Error::Defect("a cancelled statement went on".into()))
}
