#!/bin/sh
# watch.sh PACKAGES: brings the packages of npm/ to the directory PACKAGES, and runs watch.mjs. What
# is missing for that is said, to SKIPPED, a file, as well.
set -eu
here=$(realpath "$(dirname "$0")")

skip() {
    echo "skipped: the page in a browser: $1"
    echo "the page in a browser: $1" >>"${SKIPPED:-/dev/null}"
    exit 0
}

command -v chromium chromium-headless-shell >/dev/null || skip "there is no chromium"
sh "$here/../interop/packages.sh" "$1" "$here" || skip "npm has brought no packages"
exec node "$here/watch.mjs" "$@"
