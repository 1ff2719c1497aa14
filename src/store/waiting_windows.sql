-- Windows of devices $1 that hold unprocessed points from $2 (one a device) until $3, at most $5
-- a device, oldest first, each with its first and last unprocessed point. $4 is the window length
-- as an interval, $6 the earliest of $2: it says to the planner what partitions there is nothing in. Hops from window
-- to window in the partial index.
WITH RECURSIVE waiting AS (
    SELECT d.device, first.at, 1 AS nth
      FROM unnest($1::text[], $2::timestamptz[]) AS d (device, since)
     CROSS JOIN LATERAL (
        SELECT {time_expression} AS at FROM {relation} p
         WHERE NOT p.processed AND p.{device} = {named:d.device}
           AND {since:d.since} AND {since:$6} AND {until:$3}
         ORDER BY p.{time} LIMIT 1) first
    UNION ALL
    SELECT w.device,
           (SELECT {time_expression} FROM {relation} p
             WHERE NOT p.processed AND p.{device} = {named:w.device}
               AND {since:(date_bin($4, w.at, 'epoch') + $4)} AND {since:$6} AND {until:$3}
             ORDER BY p.{time} LIMIT 1),
           w.nth + 1
      FROM waiting w
     WHERE w.at IS NOT NULL AND w.nth < $5
)
SELECT w.device, w.at,
       (SELECT {time_expression} FROM {relation} p
         WHERE NOT p.processed AND p.{device} = {named:w.device}
           AND {since:w.at} AND {until:(date_bin($4, w.at, 'epoch') + $4)} AND {since:$6} AND {until:$3}
         ORDER BY p.{time} DESC LIMIT 1)
  FROM waiting w
 WHERE w.at IS NOT NULL
