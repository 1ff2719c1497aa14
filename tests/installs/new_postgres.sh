#!/usr/bin/env bash
# From PostgreSQL 15 to 17, in place and by a dump: what waits is matched there, what was matched is still there, an
# adopted table stays adopted, and so does the schedule. Runs as postgres, beside an OSRM.
set -euo pipefail
old=/usr/lib/postgresql/15/bin
new=/usr/lib/postgresql/17/bin
work=$(mktemp -d)
cd "$work"

start() { "$1/pg_ctl" --silent --wait --pgdata "$2" --log "$2.log" --options "-k $work -h ''" start; }
stop() { "$1/pg_ctl" --silent --wait --pgdata "$2" --mode fast stop; }
make_cluster() {
    "$1/initdb" --pgdata "$2" --auth trust --encoding UTF8 --locale C --no-sync >/dev/null
    echo "shared_preload_libraries = 'pg_cron'" >>"$2/postgresql.conf"
}
ask() { "$new/psql" --host "$work" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 postgres "$@"; }
# A drive of six fixes, so many minutes ago, into a table.
drive() {
    cat <<END
INSERT INTO $1 ($2) SELECT 'van', $3, date_bin('5 min', now(), 'epoch') - interval '$4 min' + n * interval '30 s'
  FROM (VALUES (0, 24.93525, 60.16640), (1, 24.93663, 60.16766), (2, 24.93648, 60.16912),
               (3, 24.93974, 60.17022), (4, 24.94359, 60.17034), (5, 24.94622, 60.16979)) AS drive (n, lon, lat);
END
}
# What has to be there in the end: the path that was there, and the two that waited.
check() {
    ask --output /dev/null --command 'SELECT * FROM process_pending_gps()'
    local found
    found=$(ask --command "SELECT string_agg(match_status, ' ' ORDER BY start_time) FROM cached_polylines")
    [ "$found" = "matched matched matched" ] || {
        echo "$1: the paths are: $found"
        exit 1
    }
    echo "$1: three paths are matched"
}

make_cluster "$old" old
start "$old" old
{
    echo "CREATE EXTENSION pg_cron; CREATE EXTENSION osrm_matcher; SELECT schedule_processing('0 0 1 1 *');"
    echo "CREATE TABLE markers (id serial PRIMARY KEY, username text, coords float8[], created_at timestamptz);"
    echo "SELECT FROM adopt_source('markers');"
    drive gps_coordinates "device_id, longitude, latitude, recorded_at" "lon, lat" 60
    echo "SELECT FROM process_pending_gps();"
    drive gps_coordinates "device_id, longitude, latitude, recorded_at" "lon, lat" 40
    drive markers "username, coords, created_at" "ARRAY[lon, lat]" 20
} | ask --output /dev/null
"$new/pg_dump" --host "$work" postgres >dump.sql
stop "$old" old

make_cluster "$new" new
"$new/pg_upgrade" --old-bindir "$old" --new-bindir "$new" --old-datadir old --new-datadir new --socketdir "$work" \
    >upgrade.log || {
    tail -n 5 upgrade.log
    find new/pg_upgrade_output.d -name '*.log' -exec tail -n 8 {} +
    exit 1
}
start "$new" new
check pg_upgrade
[ "$(ask --command 'SELECT command FROM cron.job')" = "CALL public.process_pending()" ]
stop "$new" new

make_cluster "$new" restored
start "$new" restored
ask --command "CREATE EXTENSION pg_cron" # it would go to the schema that 1.4 had it in, which 1.6 refuses
ask --output /dev/null <dump.sql
check "dump and restore"
[ "$(ask --command 'SELECT command FROM cron.job')" = "CALL public.process_pending()" ]
ask --output /dev/null --command "SELECT schedule_processing(), schedule_upkeep()" # as docs/upgrading.md says
[ "$(ask --command 'SELECT count(*) FROM cron.job')" = 2 ]
stop "$new" restored
