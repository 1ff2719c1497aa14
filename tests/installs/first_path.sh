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
ask <<'END'
CREATE EXTENSION osrm_matcher;
INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
SELECT 'van', lon, lat, date_bin('5 min', now(), 'epoch') - interval '10 min' + n * interval '30 s'
  FROM (VALUES (0, 24.93525, 60.16640), (1, 24.93663, 60.16766), (2, 24.93648, 60.16912),
               (3, 24.93974, 60.17022), (4, 24.94359, 60.17034), (5, 24.94622, 60.16979)) AS drive (n, lon, lat);
END
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
