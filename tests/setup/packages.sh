#!/usr/bin/env bash
# Installs the Debian packages that are missing, and none that is there.
# usage: packages.sh [build|demo|test|quality|picture|bench|roots]; `roots`: clean Debians beside this one
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/setup/choose_postgres.sh
. "$(dirname "$0")/choose_postgres.sh"
# shellcheck source=tests/setup/rust.sh
. "$(dirname "$0")/rust.sh"

purpose=${1:-demo}
if command -v cargo >/dev/null; then check_rust; fi
# One source of packages that does not answer need not be the one that is needed.
update_lists() { as_root apt-get update -qq || say "apt-get update complained; going on"; }
has_candidate build-essential || update_lists
choose_postgres

# What the build needs, what else the purpose needs, and what is taken where it can be had.
wanted=(ca-certificates build-essential pkg-config libclang-dev python3)
welcome=(libjs-leaflet)
[ -n "$foreign_pg_config" ] || wanted+=("postgresql-server-dev-$pg_major")
if [ "$purpose" != build ]; then
    wanted+=(unzip python3-pip python3-psycopg2)
    if [ -z "$foreign_pg_config" ]; then
        wanted+=("postgresql-$pg_major")
        welcome+=("postgresql-$pg_major-cron")
    fi
fi
case $purpose in
test)
    wanted+=(python3-pytest python3-pytest-xdist python3-numpy python3-scipy python3-psycopg python3-pyosmium libfaketime)
    welcome+=(nodejs python3-selenium chromium chromium-driver)
    [ -n "$foreign_pg_config" ] || welcome+=("postgresql-$pg_major-postgis-3" "postgresql-$pg_major-partman" "postgresql-$pg_major-timescaledb")
    ;;
demo) wanted+=(python3-pyosmium) ;;
quality) wanted+=(python3-numpy python3-scipy) ;;
picture) wanted+=(python3-numpy python3-scipy python3-pyosmium python3-selenium python3-pil chromium chromium-driver) ;;
bench) wanted+=(wrk libfaketime nodejs) ;;
roots) wanted+=(debootstrap) ;;
esac

missing=()
for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
done
for package in "${welcome[@]}"; do
    if ! is_installed "$package" && has_candidate "$package"; then missing+=("$package"); fi
done
if ! command -v cargo >/dev/null; then
    rust=$(debian_rust)
    mapfile -t -O ${#missing[@]} missing <<<"$rust"
fi
[ ${#missing[@]} -gt 0 ] || exit 0

# Installing a server would create and start a cluster on port 5432. Nobody asked for that one: the
# drop-in says so while the packages are installed, and goes again afterwards.
drop_in=/etc/postgresql-common/createcluster.d/osrm_matcher_setup.conf
trap 'as_root rm -f "$drop_in"; as_root rmdir --ignore-fail-on-non-empty "${drop_in%/*}"' EXIT
as_root mkdir -p "${drop_in%/*}"
echo "create_main_cluster = false" | as_root tee "$drop_in" >/dev/null

update_lists
step "installing Debian packages: ${missing[*]}" "$target/apt.log" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
check_rust
