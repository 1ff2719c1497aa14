#!/usr/bin/env bash
# Sets up everything that is missing, builds the extension, and leaves target/setup.env behind, which
# says to the harness where everything is. Quick when nothing is missing.
# usage: prepare.sh [build|demo|test|quality|picture|bench]; `build` needs no server and leaves target/build.env
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/setup/choose_postgres.sh
. "$(dirname "$0")/choose_postgres.sh"

here=$root/tests/setup
purpose=${1:-demo}
result=$target/setup.env
[ "$purpose" != build ] || result=$target/build.env

# Two commands at once in one checkout would build over each other's feet: the second waits.
exec 9>"$target/setup.lock"
flock 9

"$here/packages.sh" "$purpose"
choose_postgres
find_pg_config

export env_file=$result.new
: >"$env_file"
remember PG_MAJOR "$pg_major" PG_CONFIG "$pg_config" PGRX_PG_CONFIG_PATH "$pg_config"
"$here/build.sh"
if [ "$purpose" != build ]; then
    remember PRIVATE_DIR "$(private_dir)"
    "$here/private_postgres.sh"
    "$here/osrm.sh"
    case $purpose in test | bench) "$here/unpacked.sh" ;; esac
fi
mv "$env_file" "$result"
