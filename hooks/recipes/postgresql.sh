# Has a PostgreSQL server write a checkpoint, and stays connected until standard
# input ends, to testify that this very server ran on until then.
#
# PostgreSQL has no lock that holds all commits back, and needs none: what was
# committed is in its log, and a copy of one instant recovers by that. So nothing
# waits, and nothing is left to be undone. It runs under timeout(1), which ends the
# whole group of processes when the longest time to hold is over.

# of prints what the usual image reads from the variable $1, or from the file that
# the variable $1_FILE names.
of() {
  eval "value=\${$1:-} file=\${$1_FILE:-}"
  if [ -z "$value" ] && [ -n "$file" ]; then value=$(cat "$file"); fi
  printf '%s' "$value"
}

command -v psql >/dev/null 2>&1 || { echo "psql isn't in this container: name the database's container" >&2; exit 1; }

# The password goes to the client by its environment, which only the same user can
# read. A server on another host isn't this pod's: the socket is tried first.
user=$(of POSTGRES_USER) password=$(of POSTGRES_PASSWORD) database=$(of POSTGRES_DB)
# Bitnami's image may have a superuser beside that user, who may not checkpoint.
superuser=$(of POSTGRES_POSTGRES_PASSWORD)
if [ -n "$superuser" ]; then user=postgres password=$superuser; fi
export PGUSER="${user:-${PGUSER:-postgres}}"
export PGDATABASE="${database:-${PGDATABASE:-postgres}}"
if [ -n "$password" ]; then export PGPASSWORD="$password"; fi
export PGPORT="${PGPORT:-${POSTGRESQL_PORT_NUMBER:-5432}}"
case ${PGHOST:-} in /*) ;; *) export PGHOST=,127.0.0.1 ;; esac

# A client that fails ends the group, so that the failure is told at once and not when
# standard input ends.
sql() { psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 || kill -TERM 0; }

# What a copy of the server needs: its folders, by their names in this container. Not
# every user may see the first.
sql <<'SQL' | while read -r folder; do
SELECT unnest(CASE WHEN count(*) = 0 THEN '{?}' ELSE ARRAY[max(setting), max(setting) || '/pg_wal'] END) FROM pg_settings WHERE name = 'data_directory'
UNION SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '';
SQL
  case $folder in /*) folder=$(readlink -f "$folder" || echo "$folder") ;; esac
  echo "USES $folder"
done

# psql doesn't connect anew: a session that answers is the one that there was from the
# beginning.
{
  cat <<'SQL'
SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'idle_session_timeout');
DO $$ BEGIN
  IF 'off' IN (current_setting('fsync'), current_setting('full_page_writes')) THEN
    RAISE 'fsync or full_page_writes is off: a copy of this server may not start. Turn them on, or stop the server for a backup';
  END IF;
END $$;
CHECKPOINT;
SELECT 'HELD';
SQL
  cat >/dev/null
  echo "SELECT 'STILL_HELD';"
} | sql
