# Shared by the setup scripts: where things are, how to speak, how to become root.
# shellcheck shell=bash
# shellcheck disable=SC2034  # the names set here are for the scripts that source this file

set -euo pipefail
umask 022 # the cluster's user must be able to read what is made here

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
target=$root/target
tools=$target/tools
env_file=${env_file:-$target/setup.env} # prepare.sh writes a new one, the old stays valid till then

# Debian's own Python: the packages that setup installs belong to it, whatever else is on PATH.
python=/usr/bin/python3

mkdir -p "$tools"

say() { printf '==> %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

# step TEXT LOG COMMAND...: says what begins, each ten seconds what it is at, and how long it took. The output of
# the command goes to the log, of which the end is shown should it fail.
step() {
    local text=$1 log=$2 begin=$SECONDS reporter status=0
    shift 2
    say "$text"
    report_on "$log" "$$" &
    reporter=$!
    "$@" >"$log" 2>&1 || status=$?
    kill "$reporter" 2>/dev/null || true
    wait "$reporter" 2>/dev/null || true
    if [ "$status" -ne 0 ]; then
        tail -n 40 "$log" >&2
        die "failed after $((SECONDS - begin)) s: $text (the whole log: ${log#"$root"/})"
    fi
    printf '    done in %d s\n' $((SECONDS - begin))
}

# Shows the last line of a log each ten seconds, for as long as the process that asked for it lives.
report_on() {
    local log=$1 parent=$2 begin=$SECONDS
    exec 9>&- # the lock of prepare.sh is not for this one to keep
    while sleep 10 >/dev/null 2>&1 && kill -0 "$parent" 2>/dev/null; do
        printf '    %3d s: %s\n' $((SECONDS - begin)) "$(tail -n 1 "$log" | tr -d '\r' | sed 's/^ *//' | cut -c 1-100)"
    done
}

# The version of the extension: it stands in Cargo.toml alone.
package_version() { sed -nE '/^\[package\]/,/^\[/s/^version = "(.*)"/\1/p' "$root/Cargo.toml"; }

# remember NAME VALUE...: adds to the file that tells the other scripts and the harness what was set up.
remember() {
    while [ $# -gt 0 ]; do
        printf '%s=%q\n' "$1" "$2" >>"$env_file"
        shift 2
    done
}

# Runs a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root once ($1): run as root, or install sudo"
    fi
}

# Where the private cluster and its PostgreSQL live. Under target/, except where root builds in a
# folder that is closed to the user `postgres` (PostgreSQL refuses to run as root): then in a folder
# of our own under /var/tmp, remembered between runs and removed by `make clean`.
private_dir() {
    if [ "$(id -u)" -ne 0 ] || runuser -u postgres -- test -x "$target"; then
        printf '%s\n' "$target"
        return
    fi
    local note=$target/private_dir dir=
    [ -f "$note" ] && dir=$(cat "$note")
    if [ -z "$dir" ] || [ ! -d "$dir" ] || [ ! -O "$dir" ]; then
        dir=$(mktemp -d /var/tmp/osrm_matcher.XXXXXX)
        chmod 755 "$dir"
        printf '%s\n' "$dir" >"$note"
    fi
    printf '%s\n' "$dir"
}
