-- Names all that is read of a source, and reads next to nothing.
SELECT {time_expression}, {longitude}, {latitude}, {accuracy}, {course}, {speed}, p.processed, p.batch_id
  FROM {relation} p
 WHERE p.{device} = {named:''::text} AND {since:'epoch'::timestamptz} AND {until:'epoch'::timestamptz}
 LIMIT 1
