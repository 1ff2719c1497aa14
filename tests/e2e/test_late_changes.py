"""Whoever polls for changes is told of every outcome, however long its transaction took to commit."""

from contextlib import closing
from datetime import timedelta

import pytest
from drives import drive, insert, process_all, recent_window

# Two minutes are told twice, for clocks differ. A test does not wait for them: what is stored becomes older.
MARGIN = timedelta(minutes=2)


def changes(db, since):
    return {row[0] for row in db.rows("SELECT device_id FROM get_changes(%s)", (since,))}


def poll(db, since):
    """Devices that a page is told of, and from when it asks next time."""
    document = db.value("SELECT get_page_changes(%s)", (since,))
    return {window["device"] for window in document["windows"]}, document["since"]


def pass_the_margin(db):
    """As if what is on record had been stored so much earlier; returns the present."""
    db.rows("""UPDATE worker_runs SET started_at = started_at - %(by)s, finished_at = finished_at - %(by)s;
               UPDATE processing_batches SET processing_completed_at = processing_completed_at - %(by)s""", {"by": MARGIN})
    return db.value("SELECT clock_timestamp()")


@pytest.fixture
def begun(db, osrm):
    insert(db, "early", drive(osrm, recent_window(), 300))
    process_all(db)
    return db.value("SELECT clock_timestamp()")


def test_an_outcome_that_commits_late_is_told(db, osrm, begun):
    insert(db, "slow", drive(osrm, recent_window(), 300))
    with closing(db.connect(autocommit=False)) as slow:
        slow.cursor().execute("SELECT process_pending_gps()")
        insert(db, "quick", drive(osrm, recent_window(), 300))
        db.rows("CALL process_pending(60)")
        told, _ = poll(db, begun)
        assert "quick" in told and "slow" not in told
        slow.commit()
    much_later = pass_the_margin(db)
    assert changes(db, much_later) >= {"slow"}
    told, asked_next = poll(db, much_later)
    assert "slow" in told and "early" not in told
    assert db.value("SELECT %s::timestamptz >= %s", (asked_next, much_later))


def test_nothing_is_told_twice_because_somebody_has_a_transaction_open(db, osrm, begun):
    with closing(db.connect(autocommit=False)) as somebody:
        somebody.cursor().execute("SELECT pg_current_xact_id()")
        insert(db, "quick", drive(osrm, recent_window(), 300))
        process_all(db)
        process_all(db)
        assert changes(db, begun) == {"early", "quick"}
        assert changes(db, pass_the_margin(db)) == set()


def test_changes_since_before_the_first_run_are_all(db, begun):
    assert changes(db, "-infinity") == changes(db, begun - timedelta(days=3)) == {"early"}


def test_numbers_of_transactions_of_another_cluster_hide_nothing(db, osrm, begun):
    """After a dump and restore, new transactions may have lower numbers than the old ones had."""
    db.rows("""UPDATE worker_runs SET xid = '1000000000', snapshot = '1000000000:1000000000:';
               UPDATE processing_batches SET outcome_xid = '1000000000'""")
    insert(db, "new", drive(osrm, recent_window(), 300))
    process_all(db)
    assert "new" in changes(db, begun)
    process_all(db)
    assert changes(db, pass_the_margin(db)) == set()


def test_a_transaction_sees_its_own_changes(db, osrm, begun):
    insert(db, "mine", drive(osrm, recent_window(), 300))
    with closing(db.connect(autocommit=False)) as session:
        cursor = session.cursor()
        cursor.execute("SELECT process_pending_gps()")
        cursor.execute("SELECT device_id FROM get_changes(%s)", (begun + MARGIN,))
        assert ("mine",) in cursor.fetchall()
