# Holds a MariaDB or MySQL server still: FLUSH TABLES WITH READ LOCK in one
# session that lasts until standard input ends.
#
# $1: the longest to wait for the lock, in seconds. It runs under timeout(1),
# which ends the whole group of processes when the longest time to hold is over.
# The lock ends with its session, so whatever happens to this script thaws.

trap '' PIPE HUP

# The usual images name the password in one of these, or in a file. It goes to
# the client by its environment, which only the same user can read.
file=${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-}}
password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
if [ -z "$password" ] && [ -n "$file" ]; then password=$(cat "$file"); fi
user=
if [ -n "$password" ]; then export MYSQL_PWD="$password"; fi
if [ -n "$password${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-}${MYSQL_ALLOW_EMPTY_PASSWORD:-}" ]; then user=--user=root; fi

for client in mariadb mysql; do
  if command -v "$client" >/dev/null 2>&1; then break; fi
  client=
done
if [ -z "$client" ]; then
  echo "neither mariadb nor mysql is in this container: name the database's container" >&2
  exit 1
fi

# A client that reconnects has another session, without the lock and without
# @lull_session: it then says LOST. A client that fails ends the group, so that
# the failure is told at once and not when standard input ends.
{
  printf 'SET SESSION lock_wait_timeout=%d;\nSET @lull_session=CONNECTION_ID();\n' "$1"
  printf 'FLUSH TABLES WITH READ LOCK;\nSELECT "HELD";\n'
  cat >/dev/null
  printf 'SELECT IF(@lull_session = CONNECTION_ID(), "STILL_HELD", "LOST");\n'
} | {
  "$client" ${user:+"$user"} --skip-reconnect -N -B --unbuffered || kill -TERM 0
}
