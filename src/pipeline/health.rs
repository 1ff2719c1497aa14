//! The signs of life that an operator asks for, outside of any run.

use std::sync::Arc;

use super::groups;
use super::matching::{POLL, receive};
use crate::backend::interrupts;
use crate::error::Error;
use crate::osrm::client::{Client, Health};
use crate::osrm::reply::Away;
use crate::pool::Pool;
use crate::settings::Settings;
use crate::store::Group;

/// What a server says of itself.
pub struct Said {
    pub group: Group,
    pub server: String,
    pub answer: Result<Health, Away>,
}

/// Asks each server of each group for a sign of life on a thread of its own, so that a cancel need not wait for the
/// answers.
pub fn ask_health(settings: &Settings) -> Result<Vec<Said>, Error> {
    let mut clients = Vec::new();
    for (group, client) in groups::clients(&settings.client, true)? {
        clients.push((group, Client::new(&client).map_err(Error::BadSetting)?));
    }
    let clients = Arc::new(clients);
    let servers: Vec<(usize, usize)> = (clients.iter().enumerate())
        .flat_map(|(nth, (_, client))| (0..client.addresses().count()).map(move |n| (nth, n)))
        .collect();
    let asked = clients.clone();
    let ask = move |(nth, number): (usize, usize)| (nth, number, asked[nth].1.health(number));
    let mut pool = Pool::start(servers.len(), 0, ask).map_err(Error::Threads)?;
    servers.iter().for_each(|server| pool.submit(*server, 0));
    let mut pool = Some(pool);
    let mut answers = Vec::new();
    while answers.len() < servers.len() {
        if interrupts::ending() {
            clients.iter().for_each(|(_, client)| client.cancel());
            pool = None;
        }
        interrupts::serve();
        let Some(pool) = &mut pool else {
            return Err(Error::Defect("a cancelled statement went on".into()));
        };
        answers.extend(receive(pool, POLL)?);
    }
    answers.sort_by_key(|(nth, number, _)| (*nth, *number));
    let said = answers.into_iter().map(|(nth, number, answer)| {
        let (group, client) = &clients[nth];
        Said {
            group: group.clone(),
            server: client.addresses().nth(number).unwrap_or_default().into(),
            answer,
        }
    });
    Ok(said.collect())
}
