"""What a server sets for its sessions changes nothing of what is written and read."""

from drives import drive, insert, process_all, recent_window
from test_adoption import fill_markers, make_markers

SETTINGS = {
    "array_nulls": "off",
    "bytea_output": "escape",
    "datestyle": "German, DMY",
    "enable_hashjoin": "off",
    "intervalstyle": "sql_standard",
    "plpgsql.extra_errors": "all",
    "plpgsql.variable_conflict": "use_column",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "standard_conforming_strings": "off",
    "timezone": "Asia/Kathmandu",
    "transform_null_equals": "on",
    "work_mem": "64kB",
    "xmloption": "document",
}
READS = {
    "paths": """SELECT device_id, start_time, end_time, encoded_polyline, osrm_confidence, match_status, reason
                  FROM cached_polylines ORDER BY device_id, start_time""",
    "stops": "SELECT device_id, start_time, end_time, longitude, latitude FROM stops ORDER BY device_id, start_time",
    "page": "SELECT get_device_page('bus', 6)::json->'paths'",
    "fleet": "SELECT get_fleet_page(6)",
    "points": "SELECT longitude, latitude, time FROM get_path_points('bus', now() - interval '6 h', now())",
    "day": "SELECT distance_m, matched_m, driving_time FROM get_device_distance('van', now() - interval '6 h', now())",
    "status": """SELECT unprocessed_points, processed_points, cached_paths, windows_failed, osrm_reachable, set_aside
                   FROM worker_status()""",
    "alerts": "SELECT problem FROM worker_alerts() ORDER BY 1",
    "servers": "SELECT count(server), bool_and(in_use) FROM get_osrm_servers()",
    "jobs": "SELECT kind, status, devices, windows_done FROM get_jobs()",
}


def used(db, osrm):
    """All that is read after the usual work."""
    db.rows("CREATE EXTENSION osrm_matcher")
    make_markers(db)
    db.rows("SELECT * FROM adopt_source('markers')")
    fixes = drive(osrm, recent_window(), 900)
    insert(db, "bus", fixes)
    fill_markers(db, "van", fixes)
    insert(db, "parked", [(24.94, 60.17, at) for _, _, at in fixes])
    process_all(db)
    # One is corrected, then all is done again.
    db.rows("""UPDATE gps_coordinates SET latitude = latitude + 0.0001, processed = false
                WHERE device_id = 'bus' AND recorded_at = %s""", (fixes[9][2],))
    process_all(db)
    db.rows("SELECT start_rematch(%s, now())", (recent_window(),))
    process_all(db)
    db.rows("CALL upkeep()")
    read = {name: db.rows(query) for name, query in READS.items()}
    db.disconnect()  # A session that has the library refuses what cannot be used.
    db.set("osrm_matcher.osrm_url", "nowhere")
    return {**read, "no server": db.rows("SELECT server, in_use, problem FROM get_osrm_servers()")}


def test_what_sessions_have_set_makes_no_difference(empty_db, fresh_database, osrm):
    with fresh_database("template1") as unusual:
        for name, value in SETTINGS.items():
            unusual.set(name, value)
        plain, strange = used(empty_db, osrm), used(unusual, osrm)
    for name in plain:
        assert strange[name] == plain[name], name
    assert plain["paths"] and plain["stops"]
