//! Matches GPS points to the road network inside PostgreSQL, ahead of time.
//!
//! Data flows one way: points → windows → requests → matches → paths. `pipeline` drives it;
//! `store` reads and writes, `osrm` asks, `track` knows how a line comes out right.

mod api;
mod backend;
mod error;
mod osrm;
mod page;
mod pipeline;
mod pool;
mod settings;
mod store;
mod track;

pgrx::pg_module_magic!(name, version);

pgrx::extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
pgrx::extension_sql_file!(
    "../sql/processing.sql",
    name = "processing",
    requires = [
        api::process_pending_gps,
        api::_process_round,
        api::make_batches,
        api::claim_batches,
        api::match_batches,
        api::osrm_health,
        api::encode_polyline,
        api::decode_polyline,
    ]
);

pgrx::extension_sql_file!(
    "../sql/support.sql",
    name = "support",
    requires = ["processing"]
);
pgrx::extension_sql_file!("../sql/read.sql", name = "read", requires = ["support"]);
pgrx::extension_sql_file!("../sql/access.sql", name = "access", requires = ["read"]);
pgrx::extension_sql_file!(
    "../sql/page.sql",
    name = "page",
    requires = ["access", api::_path_json, api::_page_json, api::_known_json]
);
pgrx::extension_sql_file!("../sql/changes.sql", name = "changes", requires = ["page"]);
pgrx::extension_sql_file!("../sql/cron.sql", name = "cron", requires = ["changes"]);
pgrx::extension_sql_file!("../sql/status.sql", name = "status", requires = ["cron"]);
pgrx::extension_sql_file!("../sql/alerts.sql", name = "alerts", requires = ["status"]);
pgrx::extension_sql_file!(
    "../sql/columns.sql",
    name = "columns",
    requires = ["alerts"]
);
pgrx::extension_sql_file!(
    "../sql/adoption.sql",
    name = "adoption",
    requires = ["columns"]
);
pgrx::extension_sql_file!("../sql/jobs.sql", name = "jobs", requires = ["adoption"]);
pgrx::extension_sql_file!("../sql/upkeep.sql", name = "upkeep", requires = ["jobs"]);
pgrx::extension_sql_file!("../sql/import.sql", name = "import", requires = ["upkeep"]);
pgrx::extension_sql_file!(
    "../sql/release.sql",
    name = "release",
    requires = ["import"]
);
pgrx::extension_sql_file!("../sql/roles.sql", name = "roles", requires = ["release"]);

/// Called by Postgres when the library is loaded.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::init();
}
