"""Behind PgBouncer, where the statements of many clients share a session."""

from contextlib import closing

import pytest
from drives import drive, insert, recent_window, waiting
from harness.outcome import leftovers, locked_devices
from harness.pgbouncer import pgbouncer
from optional import need_program

# What a statement could leave in a session for the next client's.
LEFT = """
    SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
           (SELECT count(*) FROM pg_prepared_statements),
           (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
           (SELECT count(*) FROM pg_listening_channels()),
           (SELECT array_agg(name || ' = ' || setting ORDER BY name) FROM pg_settings WHERE source = 'session')"""


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_every_call_works_and_leaves_nothing_in_the_session(db, osrm, mode):
    need_program("pgbouncer", "usr/sbin")
    for number in range(6):
        insert(db, f"car-{number}", drive(osrm, recent_window(), 300))
    with pgbouncer(db.cluster, mode) as connect, closing(connect(db.name)) as one, closing(connect(db.name)) as other:
        def ask(session, query):
            with session.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []

        before = ask(one, LEFT)
        for session, call in (
                (one, "SELECT * FROM process_pending_gps(1)"), (other, "CALL process_pending(50, 1)"),
                (one, "SELECT make_batches()"), (other, "SELECT claim_batches()"), (one, "CALL upkeep()"),
                (one, "SELECT get_device_page('car-1', tail => true)"), (other, "SELECT get_fleet_page(2)"),
                (one, "SELECT get_page_changes('epoch')"), (other, "SELECT * FROM worker_alerts()")):
            ask(session, call)
            assert ask(other, LEFT) == before, call
    assert waiting(db) == locked_devices(db) == 0
    assert leftovers(db) == {}
