"""Batches that a trigger keeps from being written as they are to be: their windows are not matched over and over, and the
others are."""

import pytest

from drives import drive, insert, process_all, recent_window
from harness.fault_server import FaultServer

DUE = "status = 'pending', next_attempt_at = clock_timestamp() - interval '1 min'"
TRIGGERS = {
    "swallows updates": ("BEFORE UPDATE", "true", "RETURN NULL;"),
    "has the batch due again": ("BEFORE UPDATE", "NEW.status = 'completed'",
                                "NEW.status := 'pending'; NEW.next_attempt_at := now(); RETURN NEW;"),
    "makes it due afterwards": ("AFTER UPDATE", "NEW.status = 'completed'",
                                f"UPDATE processing_batches SET {DUE} WHERE batch_id = NEW.batch_id; RETURN NULL;"),
    "swallows inserts": ("BEFORE INSERT", "true", "RETURN NULL;"),
}


@pytest.mark.parametrize("way", TRIGGERS)
def test_a_window_whose_batch_cannot_be_written_is_not_matched_over_and_over(db, osrm, way):
    moment, condition, body = TRIGGERS[way]
    insert(db, "bad", drive(osrm, recent_window(60), 300, seed=1))
    if "INSERT" not in moment:
        process_all(db)
        db.rows(f"UPDATE processing_batches SET {DUE}; UPDATE gps_coordinates SET processed = false")
    db.rows(f"""CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$ BEGIN {body} END $$;
                CREATE TRIGGER keep {moment} ON processing_batches FOR EACH ROW
                       WHEN (NEW.device_id = 'bad' AND {condition}) EXECUTE FUNCTION keep()""")
    insert(db, "good", drive(osrm, recent_window(60), 300, seed=2))
    with FaultServer(upstream=osrm) as server:
        db.set("osrm_matcher.osrm_url", server.url)
        db.rows("CALL process_pending(5)")
        assert 0 < len(server.matches()) < 30
    assert db.rows("SELECT DISTINCT device_id FROM gps_coordinates WHERE NOT processed") == [("bad",)]
    db.set("osrm_matcher.osrm_url", osrm.url)
    db.rows("DROP TRIGGER keep ON processing_batches; UPDATE processing_batches SET next_attempt_at = now()")
    process_all(db)
    assert db.value("SELECT count(*) FROM processing_batches WHERE status <> 'completed'") == 0
