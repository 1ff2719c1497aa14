# Sets `pg_major`, then `pg_config`: the PostgreSQL to build for. It is the one whose pg_config is found (14 to 18),
# else the distribution's own. PG_CONFIG=/path/to/pg_config names another.
# shellcheck shell=bash
# shellcheck source=tests/setup/lib.sh

oldest=14
newest=18

major_of() { "$1" --version 2>/dev/null | sed -nE 's/^PostgreSQL ([0-9]+).*/\1/p'; }

supported() { [ -n "$1" ] && [ "$1" -ge "$oldest" ] && [ "$1" -le "$newest" ]; }

# True when apt knows a package that can be installed.
has_candidate() {
    apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

# True for a PostgreSQL from Debian packages (those of a pg_config that libpq-dev brought included).
is_debian() { [ "$("$1" --bindir)" = "/usr/lib/postgresql/$(major_of "$1")/bin" ]; }

# A pg_config may come with the client library alone: from Debian, a server must be there or be
# installable; any other PostgreSQL has to bring its headers and pg_cron along.
has_server() {
    if is_debian "$1"; then
        [ -x "$("$1" --bindir)/postgres" ] || has_candidate "postgresql-$(major_of "$1")"
    else
        [ -x "$("$1" --bindir)/postgres" ] && [ -f "$("$1" --includedir-server)/postgres.h" ] &&
            [ -f "$("$1" --pkglibdir)/pg_cron.so" ]
    fi
}

distribution_major() {
    if ! has_candidate postgresql; then
        as_root apt-get update -qq >&2 || true
    fi
    apt-cache policy postgresql | sed -nE 's/^ *Candidate: ([0-9]+).*/\1/p'
}

choose_postgres() {
    foreign_pg_config= # set where the PostgreSQL is not from Debian packages
    local found=${PG_CONFIG:-$(command -v pg_config || true)}
    if [ -n "$found" ]; then
        pg_major=$(major_of "$found")
        if supported "$pg_major" && has_server "$found"; then
            is_debian "$found" || foreign_pg_config=$found
            return
        fi
        [ -z "${PG_CONFIG:-}" ] || die "$PG_CONFIG is not a PostgreSQL $oldest to $newest with server, headers and pg_cron"
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
