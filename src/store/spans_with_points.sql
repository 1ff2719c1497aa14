-- Which of these spans hold points: $1 devices, $2 begins, $3 ends; numbered from 1. $4 and $5 are the earliest begin and the
-- latest end: they say to the planner what partitions there is nothing in.
SELECT w.nth
  FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) WITH ORDINALITY
    AS w (device, "from", until, nth)
 WHERE EXISTS (SELECT FROM {relation} p
                WHERE p.{device} = {named:w.device}
                  AND {since:w."from"} AND {until:w.until} AND {since:$4} AND {until:$5})
