#!/usr/bin/env bash
# Installs the Debian packages that are missing, and none that is there.
# usage: packages.sh [demo|test|quality|picture|bench]
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/setup/choose_postgres.sh
. "$(dirname "$0")/choose_postgres.sh"

purpose=${1:-demo}
choose_postgres

wanted=(build-essential pkg-config libclang-dev unzip
    python3 python3-pip python3-psycopg2)
if [ -z "$foreign_pg_config" ]; then
    wanted+=("postgresql-$pg_major" "postgresql-server-dev-$pg_major" "postgresql-$pg_major-cron")
fi
case $purpose in
test)
    wanted+=(python3-pytest python3-numpy python3-scipy)
    [ -n "$foreign_pg_config" ] || wanted+=("postgresql-$pg_major-postgis-3")
    ;;
quality) wanted+=(python3-numpy python3-scipy) ;;
picture) wanted+=(python3-numpy python3-scipy python3-pyosmium) ;;
bench) wanted+=(wrk) ;;
esac

missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$state" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

say "installing Debian packages: ${missing[*]}"

# Installing a server would create and start a cluster on port 5432. Nobody asked for that one: the
# drop-in says so while the packages are installed, and goes again afterwards.
drop_in=/etc/postgresql-common/createcluster.d/osrm_matcher_setup.conf
trap 'as_root rm -f "$drop_in"; as_root rmdir --ignore-fail-on-non-empty "${drop_in%/*}"' EXIT
as_root mkdir -p "${drop_in%/*}"
echo "create_main_cluster = false" | as_root tee "$drop_in" >/dev/null

# One source of packages that does not answer need not be the one that is needed.
as_root apt-get update -qq || say "apt-get update complained; going on"
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >"$target/apt.log" 2>&1 || {
    tail -n 20 "$target/apt.log" >&2
    die "apt-get could not install: ${missing[*]} (the whole log: target/apt.log)"
}
