-- All sources, the extension's own table first; with each, if there are groups of devices, the expression that says
-- the group of a row, which is empty where no group goes by a column of the table.
SELECT s.ordinal::integer, s.relation::oid, s.fragments, s.aside, s.back,
       CASE WHEN EXISTS (SELECT FROM @extschema@.osrm_groups)
            THEN coalesce(@extschema@._group_expression(s.relation), '') END
  FROM @extschema@._sources() s
 ORDER BY s.ordinal
