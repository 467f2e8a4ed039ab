#!/bin/sh
# What make does to a machine that is not like the one it was written on: an edited configuration in
# the build, no pkg-config, no sudo. Builds nothing; B is a directory of its own.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MAKELEVEL MFLAGS B
failed=0

fail() {
    echo "tests/make/run.sh: $*" >&2
    failed=1
}

# An edited configuration is kept, and said to be, once; one that was not edited follows.
conf=$work/build/conf/pillion.conf
make -s B="$work/build" "$conf"
cmp -s conf/pillion.conf "$conf" || fail "the configuration is not copied"
echo '# an edit' >>"$conf"
touch -d '2001-01-01' "$conf"
said=$(make -s B="$work/build" "$conf")
tail -n 1 "$conf" | grep -q '# an edit' || fail "an edited configuration is overwritten"
echo "$said" | grep -q "KEPT $conf" || fail "that it is kept is not said: $said"
[ -z "$(make -s B="$work/build" "$conf")" ] || fail "that it is kept is said again"
cp "$work/build/obj/conf/pillion.conf" "$conf"
echo '# an earlier line' >>"$conf"
cp "$conf" "$work/build/obj/conf/pillion.conf" # as if that had been shipped before
touch -d '2001-01-01' "$conf"
make -s B="$work/build" "$conf"
cmp -s conf/pillion.conf "$conf" || fail "a configuration that nobody edited does not follow"

rm "$work/build/obj/conf/pillion.conf"
echo '# an edit' >>"$conf"
touch -d '2001-01-01' "$conf"
make -s B="$work/build" "$conf" >/dev/null
cmp -s conf/pillion.conf "$conf" || fail "a configuration of an older build does not follow"
tail -n 1 "$conf.old" | grep -q '# an edit' || fail "what was edited in an older build is lost"

# What a run's log says of what failed is found in it; what passed, and what only sounds so, is not.
cat >"$work/log" <<'END'
+100%: Checks: 12, Failures: 0, Errors: 0
-tests/unit/test_a.c:10:F:a:it_works:0: Assertion failed
-failed: a client, after 3 steps: it printed nothing
+29 passed, 1 failed
+a test that says: failed: no
-ValueError: the server does not start
-==23==ERROR: AddressSanitizer: heap-use-after-free
-failed:
-    build/tests/unit/test_a
-    a minute of chaos
+skipped:
+    nothing
-make: *** [Makefile:9: check] Error 1
END
sed 's/^.//' "$work/log" | awk -f .ci/failures.awk >"$work/found"
sed -n 's/^-//p' "$work/log" | cmp -s - "$work/found" ||
    fail ".ci/failures.awk finds: $(cat "$work/found")"

# What a module needs is in its own folder, and nowhere else: where it is missing, that module alone
# is left out; where it is there, the module is built, and what `make deps` installs has its package.
tree=$work/tree
mkdir "$tree"
for name in Makefile core conf docs tests README.md; do ln -s "$PWD/$name" "$tree/$name"; done
cp -r modules "$tree/modules"
mkdir "$tree/modules/strange"
cp modules/ping/ping.c "$tree/modules/strange/strange.c"
plan() { make -C "$tree" -n B="$work/strange" "$@" 2>&1; }
needs() { printf 'NEEDS_strange := %s\nPACKAGES_strange := libstrange-dev\n' "$1" >"$tree/modules/strange/module.mk"; }
needs no-such-library
plan all | grep -q 'strange.so is left out: pkg-config knows no no-such-library' ||
    fail "a module whose library is missing is not left out"
plan all | grep -q 'SO .*/modules/ping.so' || fail "a module without needs is left out as well"
needs libcjson
plan all | grep -q 'SO .*/modules/strange.so' || fail "a module whose library is there is left out"
plan deps | grep -q 'libstrange-dev' || fail "the package of a module is not installed"

# A distribution may give each place: the binary then has its configuration by the whole path.
plan all | grep -q "PILLION_CONF='\"conf/pillion.conf\"'" || fail "a prefix has another configuration"
plan all HOME_DIR=/etc/pillion CONF_DIR=/etc/pillion V=1 |
    grep -q "PREFIX='\"/etc/pillion\"' -DPILLION_CONF='\"/etc/pillion/pillion.conf\"'" ||
    fail "a binary has its configuration elsewhere"
plan install MODULE_DIR=/opt/modules RUN_DIR=/opt/run DESTDIR="$work/dest" |
    grep -q "install -m 644 .*ping.so.* $work/dest/opt/modules" || fail "modules go elsewhere"

# A machine with apt, of an ordinary user, without sudo and pkg-config.
mkdir "$work/bin"
ln -s /usr/bin/* /bin/* "$work/bin" 2>/dev/null || true
for name in sudo pkg-config pkgconf dpkg-query apt-get id; do rm -f "$work/bin/$name"; done
printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\necho "apt-get was run" >&2\nexit 1\n' >"$work/bin/apt-get"
chmod +x "$work/bin/id" "$work/bin/dpkg-query" "$work/bin/apt-get"
if said=$(PATH=$work/bin make B="$work/build" run 2>&1); then fail "make run succeeds without sudo"; fi
echo "$said" | grep -q 'There is no sudo here' || fail "a missing sudo is not explained: $said"
echo "$said" | grep -q 'apt-get install .*gcc' || fail "what to install is not said: $said"
echo "$said" | grep -Eq 'not found|left out|127' && fail "there is noise: $said"
[ "$failed" = 0 ] && echo "make: configurations are kept, modules say what they need, and what is missing is said"
exit "$failed"
