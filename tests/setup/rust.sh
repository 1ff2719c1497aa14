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
    command -v rustfmt >/dev/null || die "rustfmt is missing, which pgrx calls: 'rustup component add rustfmt'"
}

# The Debian packages with a Rust new enough: 12 and 13 have one beside their own, which is too old, for browsers.
debian_rust() {
    local suffix candidate
    for suffix in "" -web; do
        candidate=$(apt-cache policy "rustc$suffix" | sed -nE 's/^ *Candidate: ([0-9.]+).*/\1/p')
        if [ -n "$candidate" ] && at_least "$rust_needed" "$candidate"; then
            printf '%s\n' "rustc$suffix" "cargo$suffix" "rustfmt$suffix"
            return
        fi
    done
    die "cargo is not on PATH, and Debian's own is older than Rust $rust_needed: install Rust first (rustup.rs)"
}
