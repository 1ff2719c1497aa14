"""Works off all that is due, with the pauses skipped, in a storm's database and in those of runs from scratch."""

from datetime import timedelta

from harness.outcome import leftovers

from . import fleet

PATIENCE = 10  # rounds that change nothing
# The pauses are not waited for: that which OSRM asked for, a second try, the time until an open window settles, and
# the lease on what was claimed by hand.
SKIP_PAUSES = """
    UPDATE worker_runs SET osrm_resume_at = now() WHERE osrm_resume_at > now();
    UPDATE processing_batches SET settles_at = now() WHERE settles_at > now();
    UPDATE processing_batches SET next_attempt_at = now() WHERE status = 'pending' AND next_attempt_at > now();
    UPDATE processing_batches SET processing_started_at = processing_started_at - interval '11 min'
     WHERE status = 'processing'"""


def drain(db, scene):
    """Until nothing is left; says what is, if that does not end."""
    first, last = scene.begins["old"] - timedelta(days=1), scene.moment("live", fleet.ERAS["live"] + 86400)
    db.rows("SELECT start_backfill(%s, %s)", (first, last))
    before, idle = None, 0
    while idle < PATIENCE:
        db.rows(SKIP_PAUSES)
        db.rows("SELECT retry_failed()")
        db.rows("SELECT resume_job(job_id) FROM matching_jobs")
        db.rows("CALL process_pending(60)")
        state = _left(db)
        if not any(state):
            return []
        idle = idle + 1 if state == before else 0
        before = state
    left, jobs, failed, open_windows = before
    return [f"not drained: {left}, {len(jobs)} jobs are not done, {failed} windows failed, {open_windows} are open"]


def _left(db):
    """What is still to be done: points and windows, jobs with how far they are, windows that
    failed, and windows that are open."""
    return (
        leftovers(db, "every_point"),
        db.rows("SELECT job_id, cursor_source, cursor_device, cursor_time, status FROM matching_jobs "
                "WHERE status <> 'done' ORDER BY job_id"),
        db.value("SELECT count(*) FROM processing_batches WHERE status = 'failed'"),
        db.value("SELECT count(*) FROM processing_batches WHERE settles_at IS NOT NULL"),
    )
