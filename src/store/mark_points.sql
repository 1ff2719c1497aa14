-- Marks exactly the points that were read: $1 ids, $2 the batch of each.
UPDATE {relation} p
   SET processed = true, batch_id = m.batch
  FROM unnest($1::text[]::{id_type}[], $2::uuid[]) AS m (id, batch)
 WHERE p.{id} = m.id
