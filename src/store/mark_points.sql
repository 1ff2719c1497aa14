-- Marks exactly the rows that were read: $1 their tables (a source may be partitioned), $2 their
-- addresses there, $3 the batch of each. A row that was changed since it was read lies elsewhere
-- now, stays unprocessed, and is read again. Says how many rows were there, and how many of them a
-- trigger left marked.
WITH marked AS (
    UPDATE {relation} p
       SET processed = true, batch_id = m.batch
      FROM unnest($1::oid[], $2::tid[], $3::uuid[]) AS m (part, address, batch)
     WHERE p.ctid = m.address AND p.tableoid = m.part
    RETURNING p.processed
)
SELECT count(*), count(*) FILTER (WHERE m.processed) FROM marked m
