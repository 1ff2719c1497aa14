-- Locks up to $2 of the devices $1 until the transaction ends, in their order, and passes over
-- those that somebody else has. The seed keeps the keys apart from other users' and from those of
-- another osrm_matcher in another database, which have a lock space of their own anyway.
SELECT device
  FROM (SELECT device FROM unnest($1::text[]) WITH ORDINALITY AS d (device, place)
         ORDER BY place OFFSET 0) AS candidates
 WHERE pg_try_advisory_xact_lock(hashtextextended(device, 7206149128))
 LIMIT $2
