-- Marks up to $1 pending batches that are due at $2 as taken by hand, newest first: live work comes
-- before old. They are found again by when they were taken (see held_windows.sql).
UPDATE @extschema@.processing_batches b
   SET status = 'processing', processing_started_at = clock_timestamp(), next_attempt_at = clock_timestamp(),
       updated_at = clock_timestamp()
 WHERE b.batch_id IN (
        SELECT c.batch_id FROM @extschema@.processing_batches c
         WHERE c.status = 'pending' AND c.next_attempt_at <= $2
         ORDER BY c.start_time DESC
         LIMIT $1
           FOR UPDATE SKIP LOCKED)
RETURNING b.batch_id
