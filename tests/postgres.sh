#!/bin/sh
# A private PostgreSQL server for tests: own folder, own port on 127.0.0.1, own socket, gone afterwards.
# Never touches a server that is already there.
#
#   tests/postgres.sh run COMMAND…   starts one, runs COMMAND with TEST_POSTGRES_URL, stops it, returns COMMAND's status
#   tests/postgres.sh start          starts one and prints FOLDER and URL, a line each
#   tests/postgres.sh stop FOLDER    stops and removes what start made
#   tests/postgres.sh down FOLDER    kills the server, for tests of just that
#   tests/postgres.sh up FOLDER      starts it again on the same port
#   tests/postgres.sh install        installs the server's programs if they are missing
#
# Its data is thrown away, so it does not wait for the disk (fsync off): tests of durability here are about killed
# processes, not about power cuts. Loopback alone, without passwords: for tests on a machine of one's own.
set -eu

say() { printf 'postgres.sh: %s\n' "$*" >&2; }

# The folder of initdb and pg_ctl. Debian keeps the server's programs out of PATH, one folder per version.
programs() {
    for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn) \
        /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /usr/libexec/postgresql*; do
        if [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ]; then
            echo "$folder"
            return
        fi
    done
    if command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
        dirname "$(command -v initdb)"
        return
    fi
    return 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install() {
    if programs >/dev/null; then return; fi
    say 'installing the PostgreSQL server'
    if command -v apt-get >/dev/null; then
        # No server of the distribution's own is started for it.
        as_root mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
        as_root apt-get update -qq >&2
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >&2
    elif command -v dnf >/dev/null; then
        as_root dnf install -y -q postgresql-server >&2
    elif command -v apk >/dev/null; then
        as_root apk add -q postgresql >&2
    elif command -v pacman >/dev/null; then
        as_root pacman -Sy --noconfirm -q postgresql >&2
    elif command -v zypper >/dev/null; then
        as_root zypper -q -n install postgresql-server >&2
    elif command -v brew >/dev/null; then
        brew install -q postgresql >&2
    else
        say 'no package manager is known here: install the PostgreSQL server (initdb, pg_ctl) and try again'
        return 1
    fi
    programs >/dev/null || { say 'the server was installed, but initdb is not found'; return 1; }
}

# PostgreSQL refuses to run as root. OWNER is empty when we are nobody special.
owner() {
    if [ "$(id -u)" != 0 ]; then return; fi
    for user in postgres nobody; do
        if id "$user" >/dev/null 2>&1; then
            echo "$user"
            return
        fi
    done
    say 'no unprivileged user (postgres, nobody) to run the server as'
    return 1
}

as_owner() {
    if [ -z "$OWNER" ]; then
        "$@"
    elif command -v runuser >/dev/null; then
        runuser -u "$OWNER" -- "$@"
    elif command -v setpriv >/dev/null; then
        setpriv --reuid "$OWNER" --regid "$(id -g "$OWNER")" --clear-groups -- "$@"
    else
        # Quotes each word for the shell that su starts.
        line=
        for word in "$@"; do
            line="$line '$(printf %s "$word" | sed "s/'/'\\\\''/g")'"
        done
        su -s /bin/sh "$OWNER" -c "$line"
    fi
}

# A free port: PostgreSQL cannot choose one itself. Another process may take it before us, so start tries again.
random_port() {
    echo $((20000 + $(od -An -N2 -tu2 /dev/urandom | tr -d ' ') % 12000))
}

start() {
    install
    OWNER=$(owner)
    bin=$(programs)
    folder=$(mktemp -d "${TMPDIR:-/tmp}/postgres-test.XXXXXX")
    chmod 700 "$folder"
    [ -z "$OWNER" ] || chown "$OWNER" "$folder"
    # Folders of the caller may be closed to the owner.
    cd /
    as_owner "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/initdb.log" 2>&1 || {
        cat "$folder/initdb.log" >&2
        rm -rf "$folder"
        return 1
    }
    as_owner sh -c 'cat >>"$1"' sh "$folder/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
max_connections = 300
shared_buffers = 128MB
fsync = off
full_page_writes = off
synchronous_commit = on
max_prepared_transactions = 0
log_min_messages = warning
CONF
    try=0
    while :; do
        port=$(random_port)
        if as_owner "$bin/pg_ctl" -D "$folder/data" -o "-p $port" -l "$folder/server.log" -w -t 60 start >/dev/null 2>&1; then
            break
        fi
        try=$((try + 1))
        if [ "$try" -ge 5 ]; then
            cat "$folder/server.log" >&2
            rm -rf "$folder"
            return 1
        fi
    done
    echo "$port" >"$folder/port"
    url="postgres://postgres@127.0.0.1:$port/postgres"
}

made_by_start() {
    case ${1##*/} in
    postgres-test.*) [ -d "$1" ] && return ;;
    esac
    say "$1 is not a folder that start made"
    return 1
}

down() {
    made_by_start "$1"
    OWNER=$(owner)
    if [ -e "$1/data/postmaster.pid" ]; then
        (cd / && as_owner "$(programs)/pg_ctl" -D "$1/data" -m immediate -w -t 30 stop) >/dev/null 2>&1 || true
    fi
}

up() {
    made_by_start "$1"
    OWNER=$(owner)
    (cd / && as_owner "$(programs)/pg_ctl" -D "$1/data" -o "-p $(cat "$1/port")" -l "$1/server.log" -w -t 60 start) >/dev/null
}

stop() {
    down "$1"
    rm -rf "$1"
}

run() {
    here=$(pwd)
    folder=
    child=
    trap '[ -z "$folder" ] || stop "$folder"' EXIT
    trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 143' INT TERM HUP
    start
    cd "$here"
    TEST_POSTGRES_URL=$url
    export TEST_POSTGRES_URL
    status=0
    # In the background, so that a signal ends it at once and not after the command.
    "$@" <&0 &
    child=$!
    wait "$child" || status=$?
    exit "$status"
}

case ${1:-} in
run)
    shift
    [ $# -gt 0 ] || { say 'run needs a command'; exit 2; }
    run "$@"
    ;;
start)
    start
    echo "$folder"
    echo "$url"
    ;;
stop)
    [ $# -eq 2 ] || { say 'stop needs the folder'; exit 2; }
    stop "$2"
    ;;
down | up)
    [ $# -eq 2 ] || { say "$1 needs the folder"; exit 2; }
    "$1" "$2"
    ;;
install) install ;;
*)
    sed -n '2,13s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
