-- Locks up to $2 of the devices $1 until the transaction ends, in their order, and passes over
-- those that somebody else has.
SELECT device
  FROM (SELECT device FROM unnest($1::text[]) WITH ORDINALITY AS d (device, position)
         ORDER BY position OFFSET 0) AS candidates
 WHERE @extschema@._lock_device(device)
 LIMIT $2
