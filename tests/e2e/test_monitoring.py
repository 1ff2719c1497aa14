"""What docs/watching/ gives for Grafana, the exporters and Prometheus, run against a real database."""

import json
import math
import re
from contextlib import closing
from datetime import datetime, timedelta, timezone
from numbers import Number
from pathlib import Path

import pytest
from drives import drive, insert, process_all, recent_window
from harness import watchers
from harness.wait import wait_for
from optional import need_program

RULES = watchers.GIVEN / "alerts.yml"
DASHBOARD = json.loads((watchers.GIVEN / "grafana.json").read_text())
PANELS = DASHBOARD["panels"]


@pytest.fixture
def watched(db, osrm):
    """A database at work: paths, a backlog, something to be alerted of, and a monitor. Yields (database, role)."""
    insert(db, "bus", drive(osrm, recent_window(), seconds=600))
    insert(db, "live", drive(osrm, datetime.now(timezone.utc) - timedelta(minutes=2), seconds=100))
    process_all(db)
    insert(db, "late", drive(osrm, recent_window(), seconds=100))
    db.rows("UPDATE gps_coordinates SET created_at = now() - interval '3 min' WHERE device_id = 'late'")
    db.rows("""INSERT INTO processing_batches (device_id, start_time, end_time, status, error_code)
               VALUES ('odd', '2024-05-04', '2024-05-04 00:05', 'failed', 'TimedOut')""")
    db.rows("SELECT start_backfill('2024-05-04', '2024-05-05')")
    role = f"monitor_{db.name}"
    db.rows(f"CREATE ROLE {role} LOGIN; SELECT grant_monitor('{role}')")
    yield db, role
    db.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")


def told(url):
    """The extension's samples by name, that of a problem by its name."""
    return {labels.get("problem", name): value for name, labels, value in watchers.samples(url)
            if name.startswith("osrm_matcher")}


def told_by_columns(url):
    """Those of sql_exporter, by the names that the manual's prometheus.yml gives them."""
    return {labels.get("problem") or f"{name.removeprefix('sql_')}_{labels['col']}": value
            for name, labels, value in watchers.samples(url) if name.startswith("sql_osrm_matcher")}


def is_right(db, values):
    health, cache = db.row("SELECT * FROM worker_health"), db.row("SELECT * FROM cache_performance")
    assert values["osrm_matcher_points_waiting"] == health["points_waiting"] == 20
    assert values["osrm_matcher_osrm_calls_last_hour"] == health["osrm_calls_last_hour"] > 0
    assert values["osrm_matcher_osrm_reachable"] == 1
    assert values["osrm_matcher_waiting_seconds"] == pytest.approx(180, abs=60)
    assert values["osrm_matcher_windows_failed"] == 1
    assert values["osrm_matcher_cache_size_bytes"] == cache["size_bytes"]
    assert values["osrm_matcher_cache_matched_share"] == cache["matched_share"]
    assert math.isnan(values["osrm_matcher_cache_hit_rate"])
    assert 0 < values["osrm_matcher_runs_seconds_last_hour"] < 60
    assert 0 <= values["osrm_matcher_runs_age_seconds"] < 60
    assert values["delay"] == 1


def columns_of(file):
    """The series that a file of queries promises."""
    return set(re.findall(r"^ {4,10}- (\w+)(?:$|: \{usage: GAUGE)", file.read_text(), re.MULTILINE))


def test_postgres_exporter_tells_what_the_database_says(watched):
    need_program("prometheus-postgres-exporter")
    with watchers.postgres_exporter(*watched) as url:
        values = told(url)
        is_right(watched[0], values)
        assert {name for name, labels, value in watchers.samples(url) if name.endswith("last_scrape_error") and value} == set()
    for column in columns_of(watchers.GIVEN / "postgres_exporter.yaml") - {"active"}:
        assert any(name.endswith(f"_{column}") for name in values), column


def test_sql_exporter_tells_the_same(watched, tmp_path):
    need_program("prometheus-sql-exporter")
    with watchers.sql_exporter(*watched, tmp_path) as url:
        wait_for(lambda: "osrm_matcher_cache_paths" in told_by_columns(url) and "delay" in told_by_columns(url), 30,
                 "the first round of its queries")
        is_right(watched[0], told_by_columns(url))
    assert columns_of(watchers.GIVEN / "sql_exporter.yml") - {"problem", "severity"} == columns_of(
        watchers.GIVEN / "postgres_exporter.yaml")


def test_prometheus_reads_both_by_one_name_and_judges(watched, tmp_path):
    for program in ("prometheus", "prometheus-postgres-exporter", "prometheus-sql-exporter"):
        need_program(program)
    with (
        watchers.postgres_exporter(*watched) as one,
        watchers.sql_exporter(*watched, tmp_path) as other,
        watchers.prometheus(tmp_path, [one, other]) as server,
    ):
        def jobs():
            found = watchers.ask(server, "query", query="osrm_matcher_points_waiting")["result"]
            return {sample["metric"]["job"]: sample["value"][1] for sample in found}

        wait_for(lambda: jobs() == {"osrm_matcher": "20", "osrm_matcher_by_sql_exporter": "20"}, 30, "both series")

        def pending():
            alerts = watchers.ask(server, "alerts")["alerts"]
            return {alert["labels"]["problem"] for alert in alerts if alert["labels"]["alertname"] == "OsrmMatcherProblem"}

        wait_for(lambda: "delay" in pending(), 30, "the rule to see the problem")
        rules = watchers.ask(server, "rules")["groups"][0]["rules"]
        assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []


def test_the_alert_rules_are_in_order_and_fire_when_they_should(tmp_path):
    need_program("promtool")
    assert watchers.promtool("check", "rules", RULES)[0] == 0
    code, said = watchers.promtool("check", "config", watchers.GIVEN / "prometheus.yml")
    assert code == 0, said
    tests = tmp_path / "alerts.test.yml"
    tests.write_text(Path(__file__).with_name("alerts.test.yml").read_text().replace("ALERTS", str(RULES)))
    code, said = watchers.promtool("test", "rules", tests)
    assert code == 0, said


def query_of(panel):
    (target,) = panel["targets"]
    # What Grafana makes of its macro.
    return target["format"], re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '1 h' AND now()", target["rawSql"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_of_the_dashboard_has_something_to_show(watched, panel):
    db, role = watched
    form, query = query_of(panel)
    assert "$" not in query
    with closing(db.connect(user=role)) as session, session.cursor() as cursor:
        cursor.execute(query)
        names, rows = [column.name for column in cursor.description], cursor.fetchall()
    assert rows
    if form == "time_series":
        assert names[0] == "time"
    if panel["type"] != "table":
        values = [value for row in rows for name, value in zip(names, row) if name != "time" and value is not None]
        assert values
        assert all(isinstance(value, Number) for value in values)


def test_the_dashboard_is_laid_out_without_overlap():
    cells = [(x, y) for panel in PANELS for place in [panel["gridPos"]]
             for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    (variable,) = DASHBOARD["templating"]["list"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {f"${{{variable['name']}}}"}
