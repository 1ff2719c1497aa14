-- The schema of extension $1, quoted, and its version.
SELECT pg_catalog.quote_ident(n.nspname), e.extversion
  FROM pg_catalog.pg_extension e
  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
 WHERE e.oid OPERATOR(pg_catalog.=) $1
