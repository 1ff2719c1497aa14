#!/usr/bin/env bash
# Puts the extension into a private copy of the PostgreSQL installation, so that nothing in the system's
# folders is touched. PostgreSQL finds its folders by the place of its own programs: the programs are
# copied, all the rest are links to the system's files. Appends to the environment file.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=/dev/null
. "$env_file"

copy=$PRIVATE_DIR/postgres
bin=$("$PG_CONFIG" --bindir)
share=$("$PG_CONFIG" --sharedir)
lib=$("$PG_CONFIG" --pkglibdir)

# Made anew when the server or any of its extensions has changed, and only then: a cluster of another
# command may be running on it.
state=$({
    "$bin/postgres" --version
    find "$lib" "$share/extension" -maxdepth 1 ! -name 'osrm_matcher*' | sort
} | cksum)
if [ "$(cat "$copy/.state" 2>/dev/null)" != "$state" ]; then
    say "making a private copy of PostgreSQL $PG_MAJOR"
    rm -rf "$copy"
    mkdir -p "$copy$bin" "$copy$share" "$copy$lib"
    cp -a "$bin/." "$copy$bin/"
    cp -as "$share/." "$copy$share/"
    cp -as "$lib/." "$copy$lib/"
    # An osrm_matcher that was installed in the system is not the one to test.
    rm -f "$copy$share"/extension/osrm_matcher* "$copy$lib"/osrm_matcher.so
    echo "$state" >"$copy/.state"
fi

# New files take the place of old ones in one step: a running backend keeps what it has loaded.
package=$target/package
rm -f "$copy$share"/extension/osrm_matcher*
cp --remove-destination "$package$share"/extension/osrm_matcher* "$copy$share/extension/"
cp --remove-destination "$package$lib/osrm_matcher.so" "$copy$lib/.osrm_matcher.so.new"
mv "$copy$lib/.osrm_matcher.so.new" "$copy$lib/osrm_matcher.so"

remember PG_BIN "$copy$bin" PG_LIB "$copy$lib" PG_SHARE "$copy$share"
