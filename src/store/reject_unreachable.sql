-- Marks rows that no window can hold as processed, and says how many: those without a device or a time
-- that is one.
WITH RECURSIVE known AS (
    (SELECT p.{device} AS device FROM {relation} p
      WHERE NOT p.processed AND p.{device} IS NOT NULL ORDER BY p.{device} LIMIT 1)
    UNION ALL
    SELECT (SELECT p.{device} FROM {relation} p
             WHERE NOT p.processed AND p.{device} > k.device ORDER BY p.{device} LIMIT 1)
      FROM known k WHERE k.device IS NOT NULL
), unusable AS (
    SELECT p.ctid AS address FROM {relation} p WHERE NOT p.processed AND p.{device} IS NULL
    UNION ALL
    SELECT bad.address
      FROM known k
     CROSS JOIN LATERAL (
        SELECT p.ctid AS address FROM {relation} p
         WHERE NOT p.processed AND p.{device} = k.device AND p.{time} IS NULL
        UNION ALL
        SELECT p.ctid FROM {relation} p
         WHERE NOT p.processed AND p.{device} = k.device
           AND p.{time} >= {bound:'infinity'::timestamptz}
        UNION ALL
        SELECT p.ctid FROM {relation} p
         WHERE NOT p.processed AND p.{device} = k.device
           AND p.{time} <= {bound:'-infinity'::timestamptz}) bad
), held AS MATERIALIZED (
    SELECT p.ctid AS address FROM {relation} p
     WHERE p.ctid = ANY (ARRAY(SELECT u.address FROM unusable u)) FOR UPDATE SKIP LOCKED
), rejected AS (
    UPDATE {relation} p SET processed = true FROM held h WHERE p.ctid = h.address RETURNING 1
)
SELECT count(*) FROM rejected r
