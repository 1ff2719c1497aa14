#!/usr/bin/env bash
# Installs the extension into the system's PostgreSQL (the one that setup chose).
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=/dev/null
. "$target/build.env"

package=$target/package
for dir in "$("$PG_CONFIG" --pkglibdir)" "$("$PG_CONFIG" --sharedir)/extension"; do
    say "installing into $dir"
    as_root install -m 644 -t "$dir" "$package$dir"/osrm_matcher*
done
cat <<END
Now, in the database that is to have it:
    CREATE EXTENSION osrm_matcher;
END
