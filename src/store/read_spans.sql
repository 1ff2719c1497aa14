-- Points of devices $1 from $2 until $3, one span each, and the $5 points before it that are no older than $4;
-- first the number of the span, then the columns of read_points.sql. All of
-- them lie from $6 until $7, which says to the planner what partitions there is nothing in.
SELECT d.nth::integer, near.*
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY AS d (device, since, until, nth)
 CROSS JOIN LATERAL (
        SELECT {columns}
          FROM {relation} p
         WHERE p.{device} = {named:d.device} AND {since:d.since} AND {until:d.until}
           AND {since:$6} AND {until:$7}
        UNION ALL
       (SELECT {columns}
          FROM {relation} p
         WHERE p.{device} = {named:d.device} AND {since:(d.since - $4)} AND {until:d.since}
           AND {since:$6} AND {until:$7}
         ORDER BY p.{time} DESC LIMIT $5)) AS near
