-- Adopted tables that are still there and have their indexes, with their names quoted for use in a statement.
SELECT format('%I.%I', n.nspname, c.relname),
       quote_ident(s.device_column),
       s.device_value,
       quote_ident(s.time_column),
       s.time_expression,
       s.bound_expression,
       s.longitude_expression,
       s.latitude_expression,
       coalesce(s.accuracy_expression, 'NULL::double precision')
  FROM adopted_sources s
  JOIN pg_class c ON c.oid = s.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE s.ready
 ORDER BY c.oid
