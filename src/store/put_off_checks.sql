-- Constraints that are checked when a transaction ends, unless somebody says otherwise: a name each with its schema, as
-- statements have them, and the tables whose changes may cause a check. What nobody may name who has no right to its
-- schema is left as it is.
SELECT quote_ident(n.nspname), format('%I.%I', n.nspname, c.conname), array_agg(DISTINCT t.tgrelid)
  FROM pg_trigger t
  JOIN pg_constraint c ON c.oid = t.tgconstraint
  JOIN pg_namespace n ON n.oid = c.connamespace
 WHERE t.tginitdeferred AND has_schema_privilege(n.oid, 'USAGE') {of}
 GROUP BY n.nspname, c.conname
