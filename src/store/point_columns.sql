{time_expression} AS at,
               ({longitude})::double precision AS lon,
               ({latitude})::double precision AS lat,
               ({accuracy})::double precision AS acc,
               p.processed,
               p.tableoid AS part,
               p.ctid AS address,
               CASE WHEN NOT p.processed THEN p.batch_id END AS earlier
