#!/usr/bin/env bash
# Removes what the build, the setup and the private clusters left. Debian packages stay.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"

if [ -f "$target/private_dir" ]; then
    rm -rf "$(cat "$target/private_dir")"
fi
rm -rf "$target"
