"""Points that a trigger keeps unprocessed: their window is not matched over and over, and an alert says why."""

import pytest

from drives import drive, insert, process_all, recent_window, waiting
from harness.fault_server import FaultServer
from test_adoption import fill_markers, make_markers

TRIGGER = """CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$;
             CREATE TRIGGER keep BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION keep()"""


@pytest.mark.parametrize("table", ["gps_coordinates", "markers"])
@pytest.mark.parametrize("body", ["RETURN NULL;", "NEW.processed := false; RETURN NEW;"])
def test_a_window_whose_points_cannot_be_marked_is_put_off(db, osrm, table, body):
    fixes = drive(osrm, recent_window(60), 300)
    if table == "markers":
        make_markers(db)
        db.rows("SELECT * FROM adopt_source('markers')")
        fill_markers(db, "car", fixes)
    else:
        insert(db, "car", fixes)
    db.rows(TRIGGER.format(body, table))
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        db.rows("CALL process_pending(5)")
        assert 0 < len(server.matches()) < 20
        asked = len(server.matches())
        db.rows("CALL process_pending(5)")
        assert len(server.matches()) == asked
    db.set("osrm_matcher.osrm_url", osrm.url)
    assert db.rows("SELECT DISTINCT status, error_code, retry_count FROM processing_batches") == [("pending", "NotMarked", 1)]
    hint = db.value("SELECT hint FROM worker_alerts() WHERE problem = 'windows_hindered'")
    assert "trigger" in hint
    db.rows(f"DROP TRIGGER keep ON {table}; UPDATE processing_batches SET next_attempt_at = now()")
    process_all(db)
    assert db.value(f"SELECT count(*) FROM {table} WHERE NOT processed") == 0
    assert db.rows("SELECT * FROM worker_alerts() WHERE problem = 'windows_hindered'") == []


def test_points_that_change_while_they_are_matched_are_no_such_case(db, osrm):
    """Their window is done again in the same run."""
    insert(db, "car", drive(osrm, recent_window(60), 300))
    with FaultServer(upstream=osrm, fault="slow") as server:
        db.set("osrm_matcher.osrm_url", server.url)
        with_run = db.connect()
        import threading
        thread = threading.Thread(target=lambda: with_run.cursor().execute("CALL process_pending(20)"))
        thread.start()
        server.wait_for_matches(1)
        db.rows("UPDATE gps_coordinates SET accuracy = 5 WHERE id % 3 = 0")
        thread.join(30)
        with_run.close()
    assert waiting(db) == 0
    assert db.value("SELECT count(*) FROM processing_batches WHERE status <> 'completed'") == 0
