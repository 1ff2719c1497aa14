#!/usr/bin/env bash
# Provides cargo-pgrx in the version that Cargo.toml asks for, and a configuration of its own for it:
# nothing of the user's (~/.cargo/bin, ~/.pgrx) is changed. Appends to target/setup.env.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=/dev/null
. "$env_file"

command -v cargo >/dev/null || die "cargo is not on PATH: install Rust first (rustup.rs)"

version=$(sed -nE 's/^pgrx = "=([0-9.]+)".*/\1/p' "$root/Cargo.toml")
[ -n "$version" ] || die "Cargo.toml names no exact version of pgrx"

has_version() { [ "$("$1" pgrx --version 2>/dev/null)" = "cargo-pgrx $version" ]; }

cargo_pgrx=$(command -v cargo-pgrx || true)
if [ -z "$cargo_pgrx" ] || ! has_version "$cargo_pgrx"; then
    cargo_pgrx=$tools/bin/cargo-pgrx
    if ! has_version "$cargo_pgrx"; then
        say "building cargo-pgrx $version (once; takes some minutes)"
        # Its own target directory goes away afterwards: half a gigabyte that nobody reads again.
        CARGO_TARGET_DIR=$tools/build cargo install --quiet --locked --root "$tools" \
            --version "=$version" cargo-pgrx
        rm -rf "$tools/build"
    fi
fi

pgrx_home=$tools/pgrx
configured="pg$PG_MAJOR = \"$PG_CONFIG\""
if ! grep -qsxF "$configured" "$pgrx_home/config.toml"; then
    mkdir -p "$pgrx_home"
    PGRX_HOME=$pgrx_home "$cargo_pgrx" pgrx init --no-run "--pg$PG_MAJOR" "$PG_CONFIG" >"$target/pgrx_init.log" 2>&1 ||
        die "cargo pgrx init failed: see target/pgrx_init.log"
fi

remember CARGO_PGRX "$cargo_pgrx" PGRX_HOME "$pgrx_home"
