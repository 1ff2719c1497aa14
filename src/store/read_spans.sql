-- Points of devices $1 from $2 until $3, one span each, and the $5 points before it that are no older than $4;
-- first the number of the span, then the columns of read_points.sql.
SELECT d.nth::integer, near.*
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS d (device, since, until, nth)
 CROSS JOIN LATERAL (
        SELECT {columns}
          FROM {relation} p
         WHERE p.{device} = {named:d.device} AND {since:d.since} AND {until:d.until}
        UNION ALL
       (SELECT {columns}
          FROM {relation} p
         WHERE p.{device} = {named:d.device} AND {since:(d.since - $4)} AND {until:d.since}
         ORDER BY p.{time} DESC LIMIT $5)) AS near
