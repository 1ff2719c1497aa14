#!/usr/bin/env bash
# Makes a Debian package of what build.sh has laid out, for the PostgreSQL that setup chose: target/deb/*.deb, named
# and laid out as Debian's own packages of extensions. It is for the Debian that it was built on.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=/dev/null
. "$target/build.env"
# shellcheck source=/dev/null
. /etc/os-release

name=postgresql-$PG_MAJOR-osrm-matcher
maintainer=${DEB_MAINTAINER:-osrm_matcher contributors <contributors@osrm-matcher.invalid>}
version=$(package_version)-1+${ID}${VERSION_ID:-~$VERSION_CODENAME}
architecture=$(dpkg --print-architecture)
work=$target/deb/$name
documents=$work/root/usr/share/doc/$name
changed=$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH=$changed

rm -rf "$work"
mkdir -p "$work/root/DEBIAN" "$work/debian" "$documents"
cp -r "$target/package/." "$work/root/"
library=$work/root$("$PG_CONFIG" --pkglibdir)/osrm_matcher.so
strip --strip-unneeded "$library"

"$python" -B "$root/tests/setup/dependencies.py" copyright >"$documents/copyright"
gzip -9n <"$root/CHANGELOG.md" >"$documents/changelog.gz"
{
    printf '%s (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n' osrm-matcher "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date --utc --rfc-email --date "@$changed")"
} | gzip -9n >"$documents/changelog.Debian.gz"

# dpkg-shlibdeps wants a control file of a source package beside it, whatever is in there.
printf 'Source: osrm-matcher\n\nPackage: %s\nArchitecture: any\n' "$name" >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps --warnings=0 -O -e"$library" | sed 's/^shlibs:Depends=//')

cat >"$work/root/DEBIAN/control" <<END
Package: $name
Source: osrm-matcher
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN "$work/root" | cut -f 1)
Depends: postgresql-$PG_MAJOR, $libraries
Suggests: postgresql-$PG_MAJOR-cron
Section: database
Priority: optional
Description: GPS points matched to the road network inside PostgreSQL
 An extension of PostgreSQL that matches GPS points to the roads with an OSRM
 server, once a minute and ahead of time, and keeps the lines as encoded
 polylines, so that a map reads them in milliseconds.
END
(cd "$work/root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$work/root" -type f -exec chmod 644 {} + -o -type d -exec chmod 755 {} +
find "$work/root" -newermt "@$changed" -exec touch --no-dereference --date "@$changed" {} +
dpkg-deb --build --root-owner-group "$work/root" "$target/deb/${name}_${version}_$architecture.deb" >/dev/null
rm -rf "$work"
say "built ${target#"$root"/}/deb/${name}_${version}_$architecture.deb"
