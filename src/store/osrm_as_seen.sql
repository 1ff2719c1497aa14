-- Why and until when OSRM as a whole asked to be left alone, as the last run was told, null where that is over; and
-- the servers that it left out, a row each. Neither holds where a clock that was ahead said it: until then is too long.
SELECT CASE WHEN r.osrm_resume_at > clock_timestamp() AND r.finished_at <= clock_timestamp() THEN r.osrm_error END, r.osrm_resume_at,
       s.server, s.why, s.since, s.until, s.at_its_wish, s.osrm_group
  FROM (SELECT * FROM @extschema@.worker_runs ORDER BY id DESC LIMIT 1) r
  LEFT JOIN LATERAL jsonb_to_recordset(r.servers_left_out)
       AS s (server text, why text, since timestamptz, until timestamptz, at_its_wish boolean, osrm_group text)
       ON r.finished_at <= clock_timestamp()
