-- Whether a run other than $2 has stored something since a snapshot ($1). None lasts for two hundred others.
SELECT EXISTS (SELECT FROM (SELECT w.id, w.xid FROM @extschema@.worker_runs w ORDER BY w.id DESC LIMIT 200) r
                WHERE r.id IS DISTINCT FROM $2 AND NOT pg_visible_in_snapshot(r.xid, $1::pg_snapshot))
