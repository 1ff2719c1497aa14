-- Devices that have unprocessed points between $1 and $2, with the oldest and the newest of them.
-- Hops from device to device in the partial index, so the cost goes with devices, not points.
WITH RECURSIVE waiting AS (
    (SELECT p.{device} AS device FROM {relation} p
      WHERE NOT p.processed ORDER BY p.{device} LIMIT 1)
    UNION ALL
    SELECT (SELECT p.{device} FROM {relation} p
             WHERE NOT p.processed AND p.{device} > w.device ORDER BY p.{device} LIMIT 1)
      FROM waiting w
     WHERE w.device IS NOT NULL
)
SELECT w.device::text, oldest.at, newest.at
  FROM waiting w
 CROSS JOIN LATERAL (
    SELECT {time_expression} AS at FROM {relation} p
     WHERE NOT p.processed AND p.{device} = w.device
       AND {since:$1} AND {until:$2}
     ORDER BY p.{time} LIMIT 1) oldest
 CROSS JOIN LATERAL (
    SELECT {time_expression} AS at FROM {relation} p
     WHERE NOT p.processed AND p.{device} = w.device
       AND {since:$1} AND {until:$2}
     ORDER BY p.{time} DESC LIMIT 1) newest
 WHERE w.device IS NOT NULL
