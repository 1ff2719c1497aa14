# Sets `pg_major`, then `pg_config`: the PostgreSQL to build for. It is the one whose pg_config is found (14 to 18),
# else the distribution's own. PG=17 asks for a version, PG_CONFIG=/path/to/pg_config for an installation.
# shellcheck shell=bash
# shellcheck source=tests/setup/lib.sh

oldest=14
newest=18

# Nothing, where it is no pg_config.
major_of() { { "$1" --version 2>/dev/null || true; } | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p'; }

supported() { [[ $1 =~ ^[0-9]+$ ]] && [ "$1" -ge "$oldest" ] && [ "$1" -le "$newest" ]; }

is_installed() { [ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = "install ok installed" ]; }

# True when apt knows a package that can be installed.
has_candidate() {
    # No pipe: a grep that has seen enough would make apt-cache fail, and pipefail tell of it.
    [[ $(apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [^\(] ]]
}

# True for a PostgreSQL from Debian packages (those of a pg_config that libpq-dev brought included).
is_debian() { [ "$("$1" --bindir)" = "/usr/lib/postgresql/$(major_of "$1")/bin" ]; }

# A pg_config may come with the client library alone: from Debian, a server must be there or be
# installable; any other PostgreSQL has to bring its headers along.
has_server() {
    if is_debian "$1"; then
        [ -x "$("$1" --bindir)/postgres" ] || has_candidate "postgresql-$(major_of "$1")"
    else
        [ -x "$("$1" --bindir)/postgres" ] && [ -f "$("$1" --includedir-server)/postgres.h" ]
    fi
}

distribution_major() {
    apt-cache policy postgresql | sed -nE 's/^ *Candidate: ([0-9]+).*/\1/p'
}

# An installation that was named: it must do.
take_named() {
    pg_major=$(major_of "$PG_CONFIG")
    if ! supported "$pg_major" || ! has_server "$PG_CONFIG"; then
        die "$PG_CONFIG is not a PostgreSQL $oldest to $newest with server and headers"
    fi
    [ "${PG:-$pg_major}" = "$pg_major" ] || die "PG=$PG was asked for, and $PG_CONFIG is of PostgreSQL $pg_major"
    is_debian "$PG_CONFIG" || foreign_pg_config=$PG_CONFIG
}

# A version that was asked for: from what is on PATH, else from Debian.
take_version() {
    supported "$PG" || die "PG=$PG: $oldest to $newest will do"
    pg_major=$PG
    local found
    found=$(command -v pg_config || true)
    if [ -n "$found" ] && [ "$(major_of "$found")" = "$PG" ] && ! is_debian "$found" && has_server "$found"; then
        foreign_pg_config=$found
    elif ! is_installed "postgresql-$PG" && ! has_candidate "postgresql-$PG"; then
        die "PostgreSQL $PG is neither here nor among the packages that apt knows; PG_CONFIG=... names one elsewhere"
    fi
}

choose_postgres() {
    foreign_pg_config= # set where the PostgreSQL is not from Debian packages
    if [ -n "${PG_CONFIG:-}" ]; then
        take_named
        return
    elif [ -n "${PG:-}" ]; then
        take_version
        return
    fi
    local found
    found=$(command -v pg_config || true)
    if [ -n "$found" ]; then
        pg_major=$(major_of "$found")
        if supported "$pg_major" && has_server "$found"; then
            is_debian "$found" || foreign_pg_config=$found
            return
        fi
        say "pg_config is of PostgreSQL ${pg_major:-?}, which is not usable here: taking the distribution's own"
    fi
    pg_major=$(distribution_major)
    supported "$pg_major" || die "the distribution's PostgreSQL is ${pg_major:-missing}; $oldest to $newest will do"
}

# The pg_config itself, once the packages are there. Debian's own lies beside the server; the one on
# PATH is a wrapper that answers for the newest version installed.
find_pg_config() {
    pg_config=${foreign_pg_config:-/usr/lib/postgresql/$pg_major/bin/pg_config}
    [ -x "$pg_config" ] || die "$pg_config is not there, though the packages are"
}
