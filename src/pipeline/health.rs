//! The signs of life that an operator asks for, outside of any run.

use std::sync::Arc;

use super::matching::{POLL, receive};
use crate::error::Error;
use crate::osrm::client::{Client, Health};
use crate::osrm::reply::Away;
use crate::pool::Pool;

/// A server's address, and what it says of itself.
pub type Said = (String, Result<Health, Away>);

/// Asks each server for a sign of life on a thread of its own, so that a cancel need not wait for the answers.
pub fn ask_health(client: Client) -> Result<Vec<Said>, Error> {
    let client = Arc::new(client);
    let servers: Vec<String> = client.addresses().map(str::to_string).collect();
    let asked = client.clone();
    let ask = move |number: usize| (number, asked.health(number));
    let mut pool = Pool::start(servers.len(), 0, ask).map_err(Error::Threads)?;
    (0..servers.len()).for_each(|number| pool.submit(number, 0));
    let mut pool = Some(pool);
    let mut answers = Vec::new();
    while answers.len() < servers.len() {
        if pool.is_none() {
            return Err(Error::Defect("a cancelled statement went on".into()));
        }
        answers.extend(receive(&mut pool, &client, POLL)?);
    }
    answers.sort_by_key(|(number, _)| *number);
    let answers = answers.into_iter().map(|(_, answer)| answer);
    Ok(servers.into_iter().zip(answers).collect())
}
