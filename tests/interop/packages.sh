#!/bin/sh
# packages.sh DIRECTORY [FROM]: brings the packages of npm/, here or in FROM, to DIRECTORY, at the
# versions of its lock file, without running anything of theirs. Fails where npm is not there, or its
# registry cannot be reached.
set -eu
here=$(realpath "${2:-$(dirname "$0")}")
npm=$1

command -v npm >/dev/null && command -v node >/dev/null
cmp -s "$here/npm/package-lock.json" "$npm/brought" && exit 0
rm -rf "$npm" && mkdir -p "$npm" && cp "$here"/npm/*.json "$npm" && cd "$npm"
timeout 300 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=1 \
    --fetch-timeout=30000 >npm.log 2>&1 </dev/null
cp "$here/npm/package-lock.json" brought
