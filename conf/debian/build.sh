#!/bin/sh
# build.sh DIRECTORY VERSION: builds the Debian packages of this tree in DIRECTORY, from a copy of it
# that has this folder as debian/. Nothing that is left to the machine gets into them: the times are
# SOURCE_DATE_EPOCH or else those of the last commit, and the rest of the environment stays outside.
set -eu
root=$(realpath "$(dirname "$0")/../..")
mkdir -p "$1"
out=$(realpath "$1") version=$2
stage=$out/pillion-$version
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null ||
    stat -c %Y "$root/core/base/version.h")}
umask 022

rm -rf "$stage" "$out"/*.deb "$out"/*.changes "$out"/*.buildinfo
mkdir "$stage"
tar -C "$root" --exclude=__pycache__ -c Makefile README.md LICENSE conf core docs modules tests |
    tar -C "$stage" -x --no-same-owner --no-same-permissions
cp -r "$stage/conf/debian" "$stage/debian"
printf '%s\n' "pillion ($version) unstable; urgency=medium" '' \
    "  * Version $version." '' \
    " -- $(sed -n 's/^Maintainer: //p' "$stage/debian/control")  $(LC_ALL=C date -uRd "@$epoch")" \
    >"$stage/debian/changelog"
cd "$stage"
env -i PATH="$PATH" HOME="${HOME:-/}" LC_ALL=C.UTF-8 TZ=UTC SOURCE_DATE_EPOCH="$epoch" \
    DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=$(nproc)}" \
    ${CCACHE_DIR:+CCACHE_DIR="$CCACHE_DIR"} ${CCACHE_DISABLE:+CCACHE_DISABLE="$CCACHE_DISABLE"} \
    dpkg-buildpackage -b -us -uc >"$out/build.log" 2>&1 || {
    tail -n 40 "$out/build.log" >&2
    echo "the packages could not be built; $out/build.log has the whole story" >&2
    exit 1
}
ls "$out"/*.deb
