-- Batches $1 that are still claimed are due again. One that another worker is about to store is left
-- to it.
UPDATE @extschema@.processing_batches b
   SET status = 'pending', next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
 WHERE b.batch_id IN (
        SELECT c.batch_id FROM @extschema@.processing_batches c
         WHERE c.batch_id = ANY ($1) AND c.status = 'processing'
           FOR UPDATE SKIP LOCKED)
