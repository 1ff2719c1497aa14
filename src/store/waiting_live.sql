-- Windows (of length $3) that have unprocessed points between $1 and $2: device, first and last such point. They
-- are read by time: old points and quiet devices cost nothing.
SELECT q.device::text, min(q.at), max(q.at)
  FROM (SELECT p.{device} AS device, {time_expression} AS at
          FROM {relation} p
         WHERE p.processed::int = 0 AND {since:$1} AND {until:$2}) q
 WHERE q.device IS NOT NULL AND q.at IS NOT NULL
 GROUP BY q.device::text, date_bin($3, q.at, 'epoch')
