-- What was put off, or taken by hand, while a clock was ahead is due: it would wait until that time has come. A minute is
-- left to the clocks of two workers that read them at different moments. Asked for each row the time could not be looked
-- for in the index.
UPDATE @extschema@.processing_batches b
   SET status = 'pending', next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
 WHERE b.ctid = ANY (ARRAY(
        SELECT h.ctid FROM @extschema@.processing_batches h
         WHERE h.status IN ('pending', 'processing')
           AND h.next_attempt_at > (SELECT clock_timestamp()) + interval '1 min'
           AND h.updated_at > (SELECT clock_timestamp()) + interval '1 min'
         LIMIT 10000
           FOR UPDATE SKIP LOCKED))
