#!/bin/sh
# Runs the plain Python client against this server, the conformance list against this server and
# against the Python one, clients that others wrote, and the conformance suites of MCP;
# and schemas beside a validator that others wrote.
# PILLION_BUILD names the prefix that was built; what is left out is told to SKIPPED, a file, as
# well.
set -eu
here=$(dirname "$0")
prefix=$(mktemp -d)
pids=

finish() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$prefix"
}
trap finish EXIT

# Waits until somebody listens on a port, for ten seconds at most.
await() {
    python3 - "$1" <<'END'
import socket, sys, time
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1).close()
        sys.exit(0)
    except OSError:
        time.sleep(0.02)
sys.exit("failed: nobody listens on port " + sys.argv[1])
END
}

python3 "$here/../ports.py" 6 >"$prefix/port" &
pids="$pids $!"
while ! [ -s "$prefix/port" ]; do kill -0 $!; sleep 0.05; done
port=$(cat "$prefix/port") # and the five after it

mkdir -p "$prefix/conf" "$prefix/modules" "$prefix/run"
cp "$PILLION_BUILD"/modules/*.so "$prefix/modules"
sed "s/127\.0\.0\.1:8080/127.0.0.1:$port/" "$here/../../conf/pillion.conf" \
    >"$prefix/conf/pillion.conf"
{
    echo "load_module $PILLION_BUILD/tests/modules/tools.so;"
    echo "load_module $PILLION_BUILD/tests/modules/crash.so; quarantine_crashes off;"
    echo "server { listen 127.0.0.1:$((port + 5)); method kill; }"
    echo "server { listen 127.0.0.1:$((port + 3));"
    sed -n 's/^    {.name = "\([^"]*\)".*/    method \1;/p' "$here/../modules/tools.c"
    echo "}"
} >>"$prefix/conf/pillion.conf"
"$PILLION_BUILD/pillion" -p "$prefix" 2>"$prefix/log" &
master=$!
pids="$pids $master"
python3 "$here/server.py" "127.0.0.1:$((port + 1))" >"$prefix/server.log" 2>&1 &
pids="$pids $!"
await "$port"
await "$((port + 1))"

answer=$(python3 "$here/client.py" --server "127.0.0.1:$port" ping '{"n": 1}')
[ "$answer" = 'pong {"n": 1}' ] || { echo "failed: client.py printed: $answer" >&2; exit 1; }
python3 "$here/clients.py" "$port"
python3 "$here/conformance.py" "127.0.0.1:$port"
python3 "$here/conformance.py" --core "127.0.0.1:$((port + 1))"

npm=$PILLION_BUILD/tests/npm
sh "$here/packages.sh" "$npm" || npm=
status=0
python3 "$here/foreign.py" "$PILLION_BUILD/pillion" "$prefix" "$port" "$master" $npm \
    >"$prefix/foreign.log" || status=$?
python3 "$here/services.py" "$PILLION_BUILD" $npm >>"$prefix/foreign.log" || status=$?
if [ -n "$npm" ]; then
    python3 "$here/mcp.py" "$((port + 3))" "$npm" >>"$prefix/foreign.log" || status=$?
    python3 "$here/schemas.py" "$PILLION_BUILD" "$npm" >>"$prefix/foreign.log" || status=$?
else
    echo "skipped: schemas beside Ajv: npm has brought no packages" >>"$prefix/foreign.log"
    echo "skipped: MCP's conformance suites: npm has brought no packages" >>"$prefix/foreign.log"
fi
sed -n 's/^skipped: /interop: /p' "$prefix/foreign.log" >>"${SKIPPED:-/dev/null}"
cat "$prefix/foreign.log"
[ "$status" = 0 ] || tail -n 40 "$prefix/log" >&2
exit "$status"
