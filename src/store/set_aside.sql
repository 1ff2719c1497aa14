-- Sets source $1 aside because of $2, or of what that comes of: where it was but locked ($3), the next run tries again. Somebody
-- else who does the same at this moment is not waited for.
UPDATE @extschema@.adopted_sources a
   SET set_aside_at = coalesce(a.set_aside_at, clock_timestamp()),
       set_aside_until = clock_timestamp() + CASE WHEN $3 THEN interval '0' ELSE interval '5 min' END,
       reason = coalesce(@extschema@._changed_columns(a.relation) || ' (' || $2 || ')', $2)
 WHERE a.relation IN (SELECT l.relation FROM @extschema@.adopted_sources l WHERE l.relation = $1
                         FOR NO KEY UPDATE SKIP LOCKED)
