//! Matches GPS points to the road network inside PostgreSQL, ahead of time.
//!
//! Data flows one way: points → windows → requests → matches → paths. `pipeline` drives it;
//! `store` reads and writes, `osrm` asks, `track` knows how a line comes out right.

mod api;
mod backend;
mod cron;
mod error;
mod lines;
mod osrm;
mod page;
mod pipeline;
mod pool;
mod settings;
mod sql;
mod store;
mod track;

pgrx::pg_module_magic!(name, version);

/// Called by Postgres when the library is loaded.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::init();
}
