//! The files of `sql/`, which `CREATE EXTENSION` runs.
//!
//! `requires` names what must be there when a file is run: what its comments, types and
//! SQL-standard bodies speak of. Bodies in PL/pgSQL look for their names when they are called. The
//! tables come first (but for the notes of reads), and rights last, for they are those of all functions.

use pgrx::extension_sql_file;

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);

extension_sql_file!(
    "../sql/settings.sql",
    name = "settings",
    requires = [
        internal::_enabled,
        internal::_window,
        internal::_max_gap,
        internal::_context_reach,
        internal::_look_back
    ]
);
extension_sql_file!(
    "../sql/sources.sql",
    name = "sources",
    requires = [internal::_ask_source, internal::_relation]
);
extension_sql_file!(
    "../sql/groups.sql",
    name = "groups",
    requires = [
        "sources",
        api::get_osrm_groups,
        internal::_server_list,
        internal::_is_profile
    ]
);
extension_sql_file!("../sql/columns.sql", name = "columns");
extension_sql_file!(
    "../sql/hypertables.sql",
    name = "hypertables",
    requires = [internal::_relation]
);
extension_sql_file!(
    "../sql/source_indexes.sql",
    name = "source_indexes",
    requires = ["hypertables"]
);
extension_sql_file!(
    "../sql/refusals.sql",
    name = "refusals",
    requires = ["source_indexes"]
);
extension_sql_file!("../sql/adoption.sql", name = "adoption");
extension_sql_file!("../sql/shards.sql", name = "shards");

extension_sql_file!(
    "../sql/processing.sql",
    name = "processing",
    requires = [
        api::process_pending_gps,
        api::_process_round,
        internal::_require_commits,
        api::make_batches,
        api::claim_batches,
        api::match_batches,
        api::osrm_health,
        api::encode_polyline,
        api::decode_polyline,
        "cron"
    ]
);
extension_sql_file!(
    "../sql/batches.sql",
    name = "batches",
    requires = [internal::_window]
);
extension_sql_file!(
    "../sql/jobs.sql",
    name = "jobs",
    requires = ["batches", internal::_window]
);
extension_sql_file!(
    "../sql/job_windows.sql",
    name = "job_windows",
    requires = ["hypertables"]
);
extension_sql_file!("../sql/forget.sql", name = "forget");

extension_sql_file!(
    "../sql/read.sql",
    name = "read",
    requires = [
        api::decode_polyline,
        internal::_line_end,
        internal::_max_gap
    ]
);
extension_sql_file!(
    "../sql/distances.sql",
    name = "distances",
    requires = ["read", internal::_line_length, internal::_join_lines]
);
extension_sql_file!(
    "../sql/read_notes.sql",
    name = "read_notes",
    requires = [internal::_writes_but_notes, internal::_has_noted]
);
extension_sql_file!(
    "../sql/page.sql",
    name = "page",
    requires = [
        "read",
        documents::_add_path,
        documents::_written_paths,
        documents::_add_device,
        documents::_written_fleet,
        documents::_page_json,
        documents::_feature
    ]
);
extension_sql_file!(
    "../sql/changes.sql",
    name = "changes",
    requires = ["read", "page", documents::_known_json]
);

extension_sql_file!(
    "../sql/map.sql",
    name = "map",
    requires = ["read", "page", "sources"]
);
extension_sql_file!("../sql/stops.sql", name = "stops", requires = ["map"]);

extension_sql_file!(
    "../sql/cron.sql",
    name = "cron",
    requires = [internal::_next_run]
);
extension_sql_file!("../sql/backlog.sql", name = "backlog");
extension_sql_file!(
    "../sql/status.sql",
    name = "status",
    requires = [
        internal::_osrm_servers,
        internal::_osrm_problem,
        internal::_server_list
    ]
);
extension_sql_file!(
    "../sql/alerts.sql",
    name = "alerts",
    requires = ["status", "groups", "cron", "adoption"]
);
extension_sql_file!(
    "../sql/partitions.sql",
    name = "partitions",
    requires = [internal::_relation]
);
extension_sql_file!(
    "../sql/upkeep.sql",
    name = "upkeep",
    requires = ["cron", internal::_put_off, internal::_make_checks]
);
extension_sql_file!(
    "../sql/import.sql",
    name = "import",
    requires = [
        "sources",
        "read",
        internal::_look_back,
        internal::_imported_line
    ]
);
extension_sql_file!("../sql/way_back.sql", name = "way_back");

extension_sql_file!("../sql/roles.sql", name = "roles", finalize);
