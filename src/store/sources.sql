-- All sources, the extension's own table first; with each, if there are groups of devices, the expression that says
-- the group of a row, which is empty where no group goes by a column of the table; and with adopted ones the conditions
-- by which a row has no device, and no time: a planner of before PostgreSQL 17 does not see that none can be without.
SELECT s.ordinal::integer, s.relation::oid, s.fragments, s.aside, s.back,
       CASE WHEN EXISTS (SELECT FROM @extschema@.osrm_groups)
            THEN coalesce(@extschema@._group_expression(s.relation), '') END,
       CASE WHEN a.device_column = ANY (r.columns) THEN 'false' ELSE 'p.' || quote_ident(a.device_column) || ' IS NULL' END,
       CASE WHEN a.time_column = ANY (r.columns) THEN 'false' ELSE 'p.' || quote_ident(a.time_column) || ' IS NULL' END
  FROM @extschema@._sources() s
  LEFT JOIN @extschema@.adopted_sources a ON a.relation = s.relation
 CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT c.attname FROM pg_attribute c
                  WHERE c.attrelid = a.relation AND c.attnotnull
                    -- From PostgreSQL 18 on a constraint may be there that has not been validated.
                    AND NOT EXISTS (SELECT FROM pg_constraint o
                                     WHERE o.conrelid = c.attrelid AND o.contype = 'n' AND c.attnum = ANY (o.conkey)
                                       AND NOT o.convalidated)) AS columns) r
 ORDER BY s.ordinal
