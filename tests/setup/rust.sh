# Whether the Rust that is here will do, asked before anything is installed: an older one fails after minutes, with
# a stranger's message.
# shellcheck shell=bash

# shellcheck disable=SC2154  # root comes from lib.sh
rust_needed=$(sed -nE 's/^rust-version = "([0-9.]+)".*/\1/p' "$root/Cargo.toml")

# at_least WANTED FOUND: compares versions.
at_least() { printf '%s\n%s\n' "$1" "$2" | sort --check=quiet --version-sort; }

check_rust() {
    local found
    found=$(rustc --version 2>/dev/null | cut -d ' ' -f 2)
    at_least "$rust_needed" "${found:-0}" ||
        die "Rust $rust_needed or newer is needed, and rustc here is ${found:-missing}: 'rustup update', or rustup.rs"
}

# The Debian package that brings a cargo new enough: Debian 12 keeps one for its browsers, Debian 13's own is old.
debian_cargo() {
    local package candidate
    for package in cargo cargo-web; do
        candidate=$(apt-cache policy "$package" | sed -nE 's/^ *Candidate: ([0-9.]+).*/\1/p')
        if [ -n "$candidate" ] && at_least "$rust_needed" "$candidate"; then
            printf '%s\n' "$package"
            return
        fi
    done
    die "cargo is not on PATH, and Debian's own is older than Rust $rust_needed: install Rust first (rustup.rs)"
}
