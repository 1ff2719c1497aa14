"""What a run, a page and a backfill cost with an adopted table in many partitions by day, beside the same in one piece;
once with times as timestamptz, once as milliseconds. The best of some rounds counts.
"""

import argparse
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.cluster import Cluster  # noqa: E402
from harness.database import Database  # noqa: E402
from harness.osrm import Osrm  # noqa: E402
from harness.process import exit_on_signals  # noqa: E402

KINDS = {  # of times: the type, how a moment is written, what adoption is told
    "timestamptz": ("timestamptz", "{}", ""),
    "milliseconds": ("bigint", "(extract(epoch FROM {}) * 1000)::bigint", ", time_unit => 'ms'"),
}
DEVICES = 200  # that drive
ROUNDS = 5
OLD = """INSERT INTO markers SELECT 'old-' || d, '{{24.94,60.17}}', {at} FROM generate_series(3, {days} - 2) d,
         LATERAL (SELECT now() - d * interval '1 day' AS moment) m"""
LIVE = """INSERT INTO markers SELECT 'bus-' || d, ARRAY[24.94 + ({nth} * 20 + n) * 0.0005 + d * 0.00001, 60.17], {at}
            FROM generate_series(1, {devices}) d, generate_series(0, 19) n,
         LATERAL (SELECT now() - interval '{ago} min' + n * interval '3 s' AS moment) m"""
LOCKS = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=1_825, help="partitions (default: %(default)s)")
    return parser.parse_args()


def make(db, kind, days, divided):
    """The table, adopted, with a point of another device in each of its old days."""
    form, at, named = KINDS[kind]
    db.rows(f"CREATE TABLE markers (username text, coords double precision[], created_at {form} NOT NULL)"
            + (" PARTITION BY RANGE (created_at)" if divided else ""))
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    for ago in range(-2, days) if divided else []:
        bounds = [db.value(f"SELECT {at.format('%s::timestamptz')}", (today - timedelta(days=day),)) for day in (ago, ago - 1)]
        db.rows(f"CREATE TABLE markers_{ago + 2} PARTITION OF markers FOR VALUES FROM (%s) TO (%s)", bounds)
    db.rows(OLD.format(at=at.format("moment"), days=days))
    db.rows(f"SELECT adopt_source('markers'{named})")
    for statement, in db.rows("SELECT statement FROM finish_adoption('markers') WHERE NOT done"):
        db.rows(statement)
    db.rows("CALL process_pending()")


def timed(db, statement):
    """Milliseconds that a statement takes."""
    begin = time.monotonic()
    db.rows(statement)
    return 1000 * (time.monotonic() - begin)


def locks(db):
    """What a run locks."""
    with closing(db.connect(autocommit=False)) as session, closing(session.cursor()) as cursor:
        cursor.execute("SELECT process_pending_gps()")
        cursor.execute(LOCKS)
        return cursor.fetchone()[0]


def measure(db, kind):
    """What a row of the report says, by its title."""
    live = []
    for nth in range(ROUNDS):
        db.rows(LIVE.format(nth=nth, ago=ROUNDS - nth, devices=DEVICES, at=KINDS[kind][1].format("moment")))
        live.append(timed(db, "CALL process_pending()"))
    best = {what: min(timed(db, statement) for _ in range(ROUNDS)) for what, statement in {
        "empty run": "CALL process_pending()", "page": "SELECT get_device_page('bus-1')",
        "status": "SELECT * FROM worker_status()"}.items()}
    backfill = "SELECT start_backfill(now() - interval '{}', now() - interval '2 days')"
    found = {"empty run, ms": best["empty run"], "its locks": locks(db), f"run of {DEVICES} live devices, ms": min(live),
             "page of a device, ms": best["page"], "worker_status(), ms": best["status"],
             "start_backfill of 400 days, ms": timed(db, backfill.format("400 days"))}
    db.rows("SELECT stop_job(job_id) FROM matching_jobs")
    found["start_backfill of two days, and its run, ms"] = (
        timed(db, backfill.format("4 days")) + timed(db, "CALL process_pending()"))
    return found


def main():
    exit_on_signals()
    days = arguments().days
    with (Osrm(name="osrm-partitions") as osrm,
          Cluster("bench-partitions", conf={"max_locks_per_transaction": 256, "osrm_matcher.osrm_url": osrm.url}) as cluster):
        for kind in KINDS:
            found = []
            for name, divided in ((f"whole_{kind}", False), (f"parts_{kind}", True)):
                cluster.create_database(name)
                db = Database(cluster, name)
                db.rows("CREATE EXTENSION osrm_matcher")
                make(db, kind, days, divided)
                found.append(measure(db, kind))
                db.disconnect()
            print(f"\n{f'times as {kind}':42}{'in one piece':>14}{f'{days:,} partitions':>20}", flush=True)
            for what, whole in found[0].items():
                print(f"{what:42}{whole:14.0f}{found[1][what]:20.0f}", flush=True)


if __name__ == "__main__":
    main()
