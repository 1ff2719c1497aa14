-- Tables that unprocessed rows of devices $1 lie in. Without OFFSET it might be planned as a scan of all, for no device.
SELECT DISTINCT o.part
  FROM unnest($1::text[]) AS d (device)
 CROSS JOIN LATERAL (
    SELECT p.tableoid AS part FROM {relation} p
     WHERE NOT p.processed AND p.{device} = {named:d.device} AND {readable} OFFSET 0) o
