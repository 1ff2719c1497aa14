#!/usr/bin/env bash
# In a Debian where the extension has just been installed: starts the server and an OSRM, and goes on until a path is
# matched. usage: first_path.sh MAJOR OSRM_FOLDER
set -euo pipefail
major=$1

pg_lsclusters --no-header | grep -q "^$major " || pg_createcluster "$major" main
pg_ctlcluster "$major" main start
# shellcheck source=tests/installs/start_osrm.sh
. "$(dirname "$0")/start_osrm.sh" "$2"

ask() { runuser -u postgres -- psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }
ask --command 'CREATE EXTENSION osrm_matcher'
ask --set vehicle=van <"$(dirname "$0")/drive.sql"
ask --output /dev/null --command 'SELECT * FROM process_pending_gps()'
status=$(ask --command "SELECT match_status FROM get_device_paths('van')")
[ "$status" = matched ] || {
    echo "the path is not matched, but: ${status:-not there}"
    exit 1
}
[ "$(ask --command "SELECT get_map_page('van') LIKE '%</html>%'")" = t ] || {
    echo "there is no map page"
    exit 1
}
ask --command "SELECT 'PostgreSQL ' || current_setting('server_version') || ', osrm_matcher ' || extversion || ': a matched path'
                 FROM pg_extension WHERE extname = 'osrm_matcher'"
pg_ctlcluster "$major" main stop
