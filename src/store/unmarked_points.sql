-- Whether rows that were to be marked are there as they were read: $1 and $2 as in mark_points.sql.
SELECT EXISTS (
    SELECT FROM {relation} p
      JOIN unnest($1::oid[], $2::tid[]) AS m (part, address)
        ON p.ctid = m.address AND p.tableoid = m.part
     WHERE NOT p.processed)
