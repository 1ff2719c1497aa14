-- Until when the server asked to be left alone, as the last run was told; no row where that is over.
SELECT r.osrm_error, r.osrm_resume_at
  FROM (SELECT * FROM @extschema@.worker_runs ORDER BY id DESC LIMIT 1) r
 WHERE r.osrm_resume_at > clock_timestamp() AND r.osrm_error IS NOT NULL
