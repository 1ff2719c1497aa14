#!/usr/bin/env bash
# Gathers the files of a release in target/release-VERSION: the sources as PGXN wants them, the Debian package of this
# machine, the bill of materials, and the sums of them all. Refuses what is not committed, or not one version throughout.
# shellcheck source=tests/setup/lib.sh
. "$(dirname "$0")/lib.sh"

cd "$root"
version=$(package_version)
[ -z "$(git status --porcelain)" ] || die "there are changes that are not committed"
[ "$(sed -nE 's/^   "version": "(.*)",/\1/p' META.json)" = "$version" ] || die "META.json is not of version $version"
grep -q "^## $version, [0-9]" CHANGELOG.md || say "CHANGELOG.md has no day for $version yet: this is a rehearsal"

place=$target/release-$version
rm -rf "$place"
mkdir -p "$place"
git archive --format zip --prefix "osrm_matcher-$version/" --output "$place/osrm_matcher-$version.zip" HEAD
cp "$target/deb/"*"_$version-"*.deb "$place/"
"$python" -B tests/setup/dependencies.py sbom >"$place/sbom.cdx.json"
(cd "$place" && sha256sum -- * >SHA256SUMS)
say "the files of $version: ${place#"$root"/}"
ls -l "$place"
