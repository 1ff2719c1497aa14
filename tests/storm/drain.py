"""Works off all that is due, with the pauses skipped, in a storm's database and in those of runs from scratch."""

from datetime import timedelta

from harness.outcome import leftovers

from . import fleet

ROUNDS = 30
# The pauses are not waited for: a second try, and the lease on what was claimed by hand.
SKIP_PAUSES = """
    UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending' AND next_attempt_at > now();
    UPDATE processing_batches SET processing_started_at = processing_started_at - interval '11 min'
     WHERE status = 'processing'"""


def drain(db, scene):
    """Until nothing is left; says what is, if that does not end."""
    first, last = scene.begins["old"] - timedelta(days=1), scene.moment("live", fleet.ERAS["live"] + 86400)
    db.rows("SELECT start_backfill(%s, %s)", (first, last))
    for _ in range(ROUNDS):
        db.rows(SKIP_PAUSES)
        db.rows("SELECT retry_failed()")
        db.rows("SELECT resume_job(job_id) FROM matching_jobs")
        db.rows("CALL process_pending(60)")
        left = leftovers(db, "every_point")
        working = db.rows("SELECT job_id FROM matching_jobs WHERE status <> 'done'")
        failed = db.value("SELECT count(*) FROM processing_batches WHERE status = 'failed'")
        if not left and not working and not failed:
            return []
    return [f"not drained: {left}, {len(working)} jobs are not done, {failed} windows failed"]
