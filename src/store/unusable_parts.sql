-- Tables that unprocessed rows lie in which no window can hold: without a device or a time that is one, and those
-- of devices $1.
SELECT DISTINCT u.part
  FROM (SELECT p.tableoid AS part FROM {relation} p
         WHERE NOT p.processed AND p.{device} IS NULL AND {readable}
        UNION ALL
        SELECT p.tableoid FROM {relation} p WHERE p.processed::int = 0 AND p.{time} IS NULL AND {readable}
        UNION ALL
        SELECT p.tableoid FROM {relation} p
         WHERE p.processed::int = 0 AND p.{time} >= {bound:'infinity'::timestamptz}
        UNION ALL
        SELECT p.tableoid FROM {relation} p
         WHERE p.processed::int = 0 AND p.{time} <= {bound:'-infinity'::timestamptz}
        UNION ALL
        -- Without OFFSET it might be planned as a scan of all, for no device.
        SELECT o.part FROM unnest($1::text[]) AS d (device) CROSS JOIN LATERAL (
            SELECT p.tableoid AS part FROM {relation} p
             WHERE NOT p.processed AND p.{device} = {named:d.device} AND {readable} OFFSET 0) o) u
