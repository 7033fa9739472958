#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes what a release publishes, from the commit that is checked out:
#
#   cmake/release.sh FOLDER [--draft]
#
#   prefopt-VERSION.tar.gz         the sources
#   prefopt.hpp                    the library in one file
#   compiler_explorer.cpp          examples/compiler_explorer.cpp with the library in it
#   prefopt-VERSION.spdx.json      the bill of materials
#   SHA256SUMS                     of the four
#
# The same commit gives the same bytes anywhere: dates are the commit's, owners and modes are fixed,
# and nothing of the checkout, the time zone or the user's settings of git is read. --draft allows
# what a release must not have: changes that are not committed (they are left out), and a CHANGELOG
# that says "unreleased".

set -eu
umask 022
export TZ=UTC LC_ALL=C
source=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { sed -n 's/^#   //p' "$0" | head -n 1 >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
draft=${2:-}

refuse() {
    [ "$draft" = --draft ] && { echo "release: a draft, though $1" >&2; return; }
    echo "release: $1" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
commit=$(git -C "$source" rev-parse HEAD)
version=$(git -C "$source" show "$commit:include/prefopt/version.hpp" |
    sed -n 's/^#define PREFOPT_VERSION_[A-Z]* //p' | paste -sd.)
name=prefopt-$version
[ -z "$(git -C "$source" status --porcelain)" ] || refuse "there are uncommitted changes"
git -C "$source" show "$commit:CHANGELOG.md" |
    grep -Eq "^## $version - [0-9]{4}-[0-9]{2}-[0-9]{2}$" ||
    refuse "CHANGELOG.md has no date for $version"

git -C "$source" -c core.autocrlf=false -c core.eol=lf -c tar.umask=0022 \
    -c core.attributesFile=/dev/null archive --format=tar --prefix="$name/" "$commit" >"$work/archive.tar"
gzip -9n <"$work/archive.tar" >"$out/$name.tar.gz"

# The rest is made from the archive, by the archive's own scripts.
tar -C "$work" -xf "$work/archive.tar"
tree=$work/$name
python3 "$tree/tests/versions.py"
amalgamate="python3 $tree/cmake/amalgamate.py"
$amalgamate --output "$out/prefopt.hpp"
$amalgamate --program "$tree/examples/compiler_explorer.cpp" --output "$out/compiler_explorer.cpp"
python3 "$tree/cmake/sbom.py" --tree "$tree" --archive "$out/$name.tar.gz" \
    --created "$(git -C "$source" log -1 --format=%ct "$commit")" \
    --output "$out/$name.spdx.json"

cd "$out"
sha256sum "$name.tar.gz" prefopt.hpp compiler_explorer.cpp "$name.spdx.json" >SHA256SUMS
cat SHA256SUMS
