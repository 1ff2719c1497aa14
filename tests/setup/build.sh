#!/usr/bin/env bash
# Builds the extension with cargo alone, and lays its files out under target/package as they will lie in the system:
# the library, the control file, the install script, the upgrade scripts, and the map page.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=/dev/null
. "$env_file"

build() {
    cd "$root"
    PGRX_PG_CONFIG_PATH=$PG_CONFIG cargo build --release --locked \
        --package osrm_matcher --package install_script \
        --no-default-features --features "osrm_matcher/pg$PG_MAJOR"
}
step "building the extension (release) for PostgreSQL $PG_MAJOR" "$target/build.log" build

package=$target/package
extensions=$package$("$PG_CONFIG" --sharedir)/extension
libraries=$package$("$PG_CONFIG" --pkglibdir)
release=${CARGO_TARGET_DIR:-$target}/release
version=$(package_version)

rm -rf "$package"
mkdir -p "$extensions" "$libraries"
install -m 644 "$release/libosrm_matcher.so" "$libraries/osrm_matcher.so"
sed "s/@CARGO_VERSION@/$version/" "$root/osrm_matcher.control" >"$extensions/osrm_matcher.control"
objcopy -O binary --only-section=.pgrxsc "$libraries/osrm_matcher.so" "$target/entities"
"$release/install_script" "$root/osrm_matcher.control" "$version" \
    <"$target/entities" >"$extensions/osrm_matcher--$version.sql"
find "$root/sql" -maxdepth 1 -name 'osrm_matcher--*--*.sql' -exec install -m 644 -t "$extensions" {} +
"$python" -B "$root/tests/setup/map_page.py" "$extensions/osrm_matcher_map.html"
