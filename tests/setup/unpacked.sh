#!/usr/bin/env bash
# Programs that look at the extension from outside, for the tests of what docs/ gives for them: from Debian packages
# that are unpacked into target/unpacked instead of installed, for installed they would start services on this machine.
# What a distribution does not have is left out, and its tests are skipped. Appends to the environment file.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/setup/choose_postgres.sh
. "$(dirname "$0")/choose_postgres.sh"

dir=$target/unpacked
packages=(prometheus prometheus-postgres-exporter prometheus-sql-exporter
    node-pg node-split2 node-xtend # what Node's client needs
    haproxy pgbouncer)

# Libraries of the last two that this machine lacks, with theirs: each Debian has others, and other names for them.
ask=(apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances)
lacking() {
    grep '^lib' | sort -u | comm -23 - <(dpkg-query --show --showformat '${Package}\n' | sort -u)
}
libraries=$("${ask[@]}" haproxy pgbouncer 2>/dev/null | sed -n 's/^ *|\?Depends: //p' | lacking || true)
if [ -n "$libraries" ]; then
    # shellcheck disable=SC2086 # it is a list
    libraries=$("${ask[@]}" --recurse $libraries | lacking)
fi

known=()
for package in "${packages[@]}" $libraries; do
    if has_candidate "$package"; then known+=("$package"); fi
done

# apt-get drops its rights to a user who cannot write here, and says so: as whoever runs this, it does not.
download() {
    cd "$dir.new/debs" && apt-get -o APT::Sandbox::User="$(id -un)" download "${known[@]}"
}

if [ "$(cat "$dir/.complete" 2>/dev/null)" != "${known[*]}" ]; then
    rm -rf "$dir.new" "$dir"
    mkdir -p "$dir.new/debs"
    [ ${#known[@]} -eq 0 ] || step "fetching ${known[*]}" "$target/apt.log" download
    for deb in "$dir.new/debs"/*.deb; do
        [ ! -f "$deb" ] || dpkg-deb -x "$deb" "$dir.new"
    done
    rm -r "$dir.new/debs"
    echo "${known[*]}" >"$dir.new/.complete"
    mv "$dir.new" "$dir"
fi

remember UNPACKED "$dir"
