-- Devices that have unprocessed points between $1 and $2, each with its oldest and newest and their number,
-- by the first $3 such points. They are read by time: other points cost nothing.
SELECT q.device::text, min(q.at), max(q.at), count(*)
  FROM (SELECT p.{device} AS device, {time_expression} AS at
          FROM {relation} p
         WHERE p.processed::int = 0 AND {since:$1} AND {until:$2}
         ORDER BY p.{time}
         LIMIT $3) q
 WHERE q.device IS NOT NULL
 GROUP BY 1
HAVING min(q.at) IS NOT NULL
