-- All points of device $1 from $2 until $3. The id comes for unprocessed rows only, unless $4:
-- most rows of a window's context were processed before, and an id is dear to carry.
SELECT {time_expression},
       ({longitude})::double precision,
       ({latitude})::double precision,
       ({accuracy})::double precision,
       CASE WHEN $4 OR NOT p.processed THEN p.{id}::text END,
       NOT p.processed
  FROM {relation} p
 WHERE p.{device} = {named:$1}
   AND p.{time} >= {bound:$2} AND p.{time} < {bound:$3}
