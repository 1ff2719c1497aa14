-- Marks rows of one table that no window can hold as processed, and says how many: those without a device or a
-- time that is one, and those of devices $1.
WITH unusable AS (
    SELECT p.ctid AS address FROM ONLY {relation} p WHERE NOT p.processed AND p.{device} IS NULL
    UNION ALL
    SELECT p.ctid FROM ONLY {relation} p WHERE p.processed::int = 0 AND p.{time} IS NULL
    UNION ALL
    SELECT p.ctid FROM ONLY {relation} p
     WHERE p.processed::int = 0 AND p.{time} >= {bound:'infinity'::timestamptz}
    UNION ALL
    SELECT p.ctid FROM ONLY {relation} p
     WHERE p.processed::int = 0 AND p.{time} <= {bound:'-infinity'::timestamptz}
    UNION ALL
    SELECT o.address FROM unnest($1::text[]) AS d (device) CROSS JOIN LATERAL (
        SELECT p.ctid AS address FROM ONLY {relation} p WHERE NOT p.processed AND p.{device} = {named:d.device} OFFSET 0) o
), held AS MATERIALIZED (
    SELECT p.ctid AS address FROM ONLY {relation} p
     WHERE p.ctid = ANY (ARRAY(SELECT u.address FROM unusable u)) FOR UPDATE SKIP LOCKED
), rejected AS (
    UPDATE ONLY {relation} p SET processed = true FROM held h WHERE p.ctid = h.address RETURNING 1
)
SELECT count(*) FROM rejected r
