#!/usr/bin/env bash
# Installs, seeds and starts the three backends, and others beside them; Ctrl-C or TERM stops all.
#   up.sh [--data-dir D] [--with NAME,NAME]
#   --with        folders beside this script, whose service.env says port, path and the file that its seed leaves; one
#                 whose run.sh exits with 69 lacks something on this machine, is left out, and the rest runs
#   DATA_DIR      the same as --data-dir: folder for everything they write  (default ./data next to this script)
#   TRYTON_PORT, VENDURE_PORT, KARRIO_PORT               (default 8069, 3400, 5002)
#   READY_WITHIN  seconds to wait for all three          (default 1800)
# PYTHON, SEED_TODAY and the variables for credentials are passed on to the three run.sh.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
DATA_DIR="${DATA_DIR:-$HERE/data}"
extra=
while [ $# -gt 0 ]; do
  case $1 in
    --data-dir) DATA_DIR="${2:?--data-dir needs a folder}"; shift 2 ;;
    --data-dir=*) DATA_DIR="${1#*=}"; shift ;;
    --with) extra="${2:?--with needs names of folders}"; shift 2 ;;
    --with=*) extra="${1#*=}"; shift ;;
    *) echo "usage: up.sh [--data-dir D] [--with NAME,NAME]" >&2; exit 2 ;;
  esac
done
TRYTON_PORT="${TRYTON_PORT:-8069}" VENDURE_PORT="${VENDURE_PORT:-3400}" KARRIO_PORT="${KARRIO_PORT:-5002}"
mkdir -p "$DATA_DIR/tryton" "$DATA_DIR/vendure" "$DATA_DIR/karrio"
DATA_DIR="$(cd "$DATA_DIR" && pwd)"

names=(tryton vendure karrio)
declare -A port=([tryton]=$TRYTON_PORT [vendure]=$VENDURE_PORT [karrio]=$KARRIO_PORT)
declare -A path=([tryton]=/tryton/rest/model/company.company [vendure]=/health [karrio]=/status/)
declare -A seeded=([vendure]=.seeded)  # a server that also answers while it is being seeded
declare -A pid=()
for name in ${extra//,/ }; do
  [ -f "$HERE/$name/service.env" ] || { echo "--with $name: no such backend" >&2; exit 2; }
  port[$name]=$(sed -n 's/^port=//p' "$HERE/$name/service.env")
  path[$name]=$(sed -n 's/^path=//p' "$HERE/$name/service.env")
  seeded[$name]=$(sed -n 's/^seeded=//p' "$HERE/$name/service.env")
  names+=("$name")
  mkdir -p "$DATA_DIR/$name"
done

for tool in "${PYTHON:-python3}" node npm curl setsid; do
  command -v "$tool" > /dev/null || { echo "needs $tool, which is not installed" >&2; exit 1; }
done
for name in "${names[@]}"; do
  if (: < "/dev/tcp/127.0.0.1/${port[$name]}") 2> /dev/null; then
    echo "port ${port[$name]} ($name) is in use" >&2
    exit 1
  fi
done

stop() {
  trap '' INT TERM
  for name in "${!pid[@]}"; do kill -TERM -- "-${pid[$name]}" 2> /dev/null || true; done
  for name in "${!pid[@]}"; do
    for _ in $(seq 100); do kill -0 -- "-${pid[$name]}" 2> /dev/null || break; sleep 0.1; done
    kill -KILL -- "-${pid[$name]}" 2> /dev/null || true
  done
  wait || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

answers() {
  local header="Accept: */*"
  [ "$1" != tryton ] || header="Authorization: Bearer ${TRYTON_API_KEY:-demo-rest-key-0123456789abcdef}"
  [ -z "${seeded[$1]:-}" ] || [ -f "$DATA_DIR/$1/${seeded[$1]}" ] || return 1
  curl -fs -o /dev/null --max-time 10 -H "$header" "http://127.0.0.1:${port[$1]}${path[$1]}"
}

# Each in a process group of its own, so that all of it can be stopped, installers included.
for name in "${names[@]}"; do
  DATA_DIR="$DATA_DIR/$name" PORT="${port[$name]}" setsid "$HERE/$name/run.sh" > "$DATA_DIR/$name.log" 2>&1 < /dev/null &
  pid[$name]=$!
done

start=$SECONDS
echo "setting up and starting; logs: $DATA_DIR/{$(IFS=,; echo "${names[*]}")}.log"
waiting=("${names[@]}")
while [ ${#waiting[@]} -gt 0 ]; do
  still=()
  for name in "${waiting[@]}"; do
    if ! kill -0 "${pid[$name]}" 2> /dev/null; then
      code=0
      wait "${pid[$name]}" || code=$?
      if [ "$code" = 69 ] && [[ ",$extra," = *",$name,"* ]]; then
        tail -n 1 "$DATA_DIR/$name.log" >&2
        echo "$name is left out" >&2
        left=()
        for one in "${names[@]}"; do [ "$one" = "$name" ] || left+=("$one"); done
        names=("${left[@]}")
        unset "pid[$name]"
        continue
      fi
      echo "$name stopped:" >&2
      tail -n 20 "$DATA_DIR/$name.log" >&2
      exit 1
    fi
    if answers "$name"; then
      echo "$name answers after $((SECONDS - start)) s"
    else
      still+=("$name")
    fi
  done
  waiting=(${still[@]+"${still[@]}"})
  if [ ${#waiting[@]} -gt 0 ]; then
    [ $((SECONDS - start)) -lt "${READY_WITHIN:-1800}" ] || { echo "not ready: ${waiting[*]}" >&2; exit 1; }
    sleep 1
  fi
done

cat <<END

Tryton   http://127.0.0.1:$TRYTON_PORT/tryton/rest/model/  Authorization: Bearer ${TRYTON_API_KEY:-demo-rest-key-0123456789abcdef}
         http://127.0.0.1:$TRYTON_PORT/tryton/rpc/         user ${TRYTON_API_LOGIN:-gateway}, password ${TRYTON_API_PASSWORD:-gateway-demo-password}
Vendure  http://127.0.0.1:$VENDURE_PORT/admin-api            user connector@example.com, password connector-demo; more in
         $DATA_DIR/vendure/credentials.json
Karrio   http://127.0.0.1:$KARRIO_PORT/v1/ and /graphql      Authorization: Token ${API_KEY:-key_0123456789abcdef0123456789abcdef}
END
for name in ${extra//,/ }; do
  [ -z "${pid[$name]:-}" ] || echo "$name  http://127.0.0.1:${port[$name]}; README.md in backends/$name says how to sign in"
done
cat <<END

Ctrl-C stops them.
END
wait -n || true
for name in "${names[@]}"; do
  kill -0 "${pid[$name]}" 2> /dev/null || { echo "$name stopped:" >&2; tail -n 20 "$DATA_DIR/$name.log" >&2; }
done
exit 1
