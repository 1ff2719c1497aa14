-- Whether rows that were to be marked are there as they were read: $1 as in mark_points.sql.
SELECT EXISTS (
    SELECT FROM ONLY {relation} p
      JOIN unnest($1::tid[]) AS m (address) ON p.ctid = m.address
     WHERE NOT p.processed)
