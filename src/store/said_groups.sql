-- The newest row of each of devices $1 between $2 and $3: its time, and the group that its columns say.
SELECT d.device, newest.at, newest.said
  FROM unnest($1::text[]) AS d (device)
 CROSS JOIN LATERAL (
    SELECT {time_expression} AS at, {group} AS said
      FROM {relation} p
     WHERE p.{device} = {named:d.device} AND {since:$2} AND {until:$3}
     ORDER BY p.{time} DESC
     LIMIT 1) newest
 WHERE newest.at IS NOT NULL
