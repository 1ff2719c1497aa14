-- Tables that unprocessed rows lie in which no window can hold: without a device or a time that is one. $1: those without a device
-- that are of this time or later, for the planner to pass over partitions in which there are none.
SELECT DISTINCT u.part
  FROM (SELECT p.tableoid AS part FROM {relation} p
         WHERE NOT p.processed AND {deviceless} AND {since:$1}
        UNION ALL
        SELECT p.tableoid FROM {relation} p WHERE p.processed::int = 0 AND {timeless} AND {readable}
        UNION ALL
        SELECT p.tableoid FROM {relation} p
         WHERE p.processed::int = 0 AND p.{time} >= {bound:'infinity'::timestamptz}
        UNION ALL
        SELECT p.tableoid FROM {relation} p
         WHERE p.processed::int = 0 AND p.{time} <= {bound:'-infinity'::timestamptz}) u
