# Starts an OSRM at the extension's default address, as root, whose files they are, and goes on once it listens.
# usage: . start_osrm.sh OSRM_FOLDER
# shellcheck shell=bash
"$1/osrm-bindings/osrm/bin/osrm-routed" --algorithm mld --ip 127.0.0.1 --port 5000 "$1/graph/helsinki.osrm" \
    >/tmp/osrm.log 2>&1 &
until (: >/dev/tcp/127.0.0.1/5000) 2>/dev/null; do
    kill -0 $! # it has ended: see /tmp/osrm.log
    sleep 1
done
