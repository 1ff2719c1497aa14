-- Marks exactly the rows that were read: $1 their addresses in this one table, $2 the batch of each. A row that
-- was changed since it was read lies elsewhere now, stays unprocessed, and is read again. Says how many rows
-- were there, how many of them a trigger left marked, and the batches of those that were not there.
-- A row that somebody changes while this goes on comes as what it is then, and PostgreSQL before 14.20, 15.15, 16.11,
-- 17.7 and 18.1 does not look at its address again by itself: the function has it do so.
WITH marked AS (
    UPDATE ONLY {relation} p
       SET processed = true, batch_id = m.batch
      FROM unnest($1::tid[], $2::uuid[]) AS m (address, batch)
     WHERE p.ctid = m.address AND tideq(p.ctid, m.address)
    RETURNING p.processed, m.address
)
SELECT count(*), count(*) FILTER (WHERE m.processed),
       CASE WHEN count(*) < cardinality($1::tid[]) THEN
           ARRAY(SELECT DISTINCT w.batch FROM unnest($1::tid[], $2::uuid[]) AS w (address, batch)
                  WHERE w.address NOT IN (SELECT k.address FROM marked k))
       END
  FROM marked m
