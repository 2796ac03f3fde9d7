# Holds a MariaDB or MySQL server still: FLUSH TABLES WITH READ LOCK in one
# session that lasts until standard input ends.
#
# $1: the longest to wait for the lock, $2: the longest to hold, in seconds. It runs
# under timeout(1), which ends the whole group of processes when the longest time to
# hold is over. The lock ends with its session, so whatever happens to this script
# thaws.

# of prints the first of these variables of the usual images that has a value, or a
# file that the variable of that name with _FILE names.
of() {
  for name; do
    eval "value=\${$name:-} file=\${${name}_FILE:-}"
    if [ -z "$value" ] && [ -n "$file" ]; then value=$(cat "$file"); fi
    if [ -n "$value" ]; then break; fi
  done
  printf '%s' "$value"
}

for client in mariadb mysql; do
  if command -v "$client" >/dev/null 2>&1; then break; fi
  client=
done
[ -n "$client" ] || { echo "neither mariadb nor mysql is in this container: name the database's container" >&2; exit 1; }

# The password goes to the client by its environment, which only the same user can
# read. Where the image is told of none, the client's own option file says who asks.
password=$(of MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD MARIADB_MASTER_ROOT_PASSWORD MYSQL_MASTER_ROOT_PASSWORD)
empty=$(of MARIADB_ALLOW_EMPTY_ROOT_PASSWORD MYSQL_ALLOW_EMPTY_PASSWORD ALLOW_EMPTY_PASSWORD)
user=$(of MARIADB_ROOT_USER MYSQL_ROOT_USER)
if [ -n "$password" ]; then export MYSQL_PWD="$password"; fi
if [ -n "$password$empty" ]; then user=${user:-root}; else user=; fi

# query runs what it reads. A server on another host isn't this pod's. A client that
# connects anew would have another session, without the lock.
query() { "$client" ${user:+"--user=$user"} --host=localhost --skip-reconnect -N -B --unbuffered; }

# What a copy of the server needs: its folders, by their names in this container. A
# relative one is in the first of them. It is said where not all of them are told: the
# user may not be allowed to see them, or they are so many that it takes long.
query <<'SQL' | {
SET /*!50708 max_execution_time = 5000 */ /*M!100101 max_statement_time = 5 */; SELECT 'data', @@datadir;
SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_data_home_dir', 'innodb_log_group_home_dir', 'innodb_undo_directory', 'innodb_doublewrite_dir', 'aria_log_dir_path', 'rocksdb_datadir', 'rocksdb_wal_dir');
SELECT DISTINCT 'file', LEFT(name, CHAR_LENGTH(name) - LOCATE('/', REVERSE(name))) FROM (SELECT @@log_bin_basename name
UNION SELECT FILE_NAME FROM information_schema.FILES WHERE FILE_TYPE <> 'TEMPORARY' /*M!100600 UNION SELECT FILENAME FROM information_schema.INNODB_SYS_TABLESPACES WHERE NAME <> 'innodb_temporary' */
) files WHERE name LIKE '/%' OR name LIKE '../%';
SELECT 'all', '';
SQL
  data= last=
  while read -r what folder; do
    last=$what data=${data:-$folder}
    case $folder in /*) ;; *) folder=$data$folder ;; esac
    echo "USES $(readlink -f "$folder" || echo "$folder")"
  done
  [ "$last" = all ] || echo "USES ?"
}

# MySQL's lock waits for reads, too. Where it gives up, nobody can use the tables of
# these any more before they end. So it isn't asked for while one takes long.
# MariaDB's doesn't.
left=$1
while
  reads=$(echo "SELECT COUNT(*) FROM information_schema.processlist WHERE command IN ('Query', 'Execute') AND time > 0 AND user <> 'system user' AND VERSION() NOT LIKE '%MariaDB%';" | query) || exit 1
  [ "$reads" != 0 ]
do
  [ "$left" -gt 0 ] || { echo "$reads of the queries under way take long: the lock would wait for them, and all else for the lock" >&2; exit 1; }
  left=$((left - 1))
  sleep 1
done

# Whoever has connected anew all the same has no @held. A client that fails ends the
# group, so that the failure is told at once and not when standard input ends.
{
  echo "SET SESSION lock_wait_timeout = $1, SESSION wait_timeout = $2, @held = 'STILL_HELD';"
  echo "FLUSH TABLES WITH READ LOCK;"
  echo "SELECT 'HELD';"
  cat >/dev/null
  echo "SELECT @held;"
} | {
  query || kill -TERM 0
}
