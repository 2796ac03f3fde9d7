# Holds a Redis or Valkey server still: has what was written go to the disk, and
# lets no write be done, by CLIENT PAUSE, until standard input ends.
#
# $2: the longest to hold, in seconds. The pause expires by itself then, and
# timeout(1) ends this script.

trap '' PIPE

for client in redis-cli valkey-cli; do
  if command -v "$client" >/dev/null 2>&1; then break; fi
  client=
done
[ -n "$client" ] || { echo "neither redis-cli nor valkey-cli is in this container: name the database's container" >&2; exit 1; }

# of prints the variable $1 of the usual images.
of() { eval "printf '%s' \"\${REDIS_$1:-\${VALKEY_$1:-}}\""; }

# The usual images name the password in one of these, or in a file. It goes to the
# client by its environment, which only the same user can read.
password=$(of PASSWORD) file=$(of PASSWORD_FILE)
if [ -z "$password" ] && [ -n "$file" ]; then password=$(cat "$file"); fi
if [ -n "$password" ]; then export REDISCLI_AUTH="$password"; fi

# A server with TLS may want to see a certificate of whoever asks, too: its own will do.
tls= ca= certificate= key=
case $(of TLS_ENABLED) in
  [1yYtT]*) tls=TLS_ ca=$(of TLS_CA_FILE) certificate=$(of TLS_CERT_FILE) key=$(of TLS_KEY_FILE) ;;
esac

# It is a number: Kubernetes puts the address of a service that is named redis into
# REDIS_PORT.
for name in REDIS VALKEY; do
  for number in PORT_NUMBER PORT; do
    eval "port=\${${name}_$tls$number:-}"
    case $port in "" | *[!0-9]*) port=6379 ;; *) break 2 ;; esac
  done
done

client() {
  "$client" -p "$port" ${tls:+--tls} ${ca:+--cacert "$ca"} ${certificate:+--cert "$certificate" --key "$key"} "$@" 2>&1
}
ask() { client "$@" </dev/null; }
is() { ask INFO persistence | grep -q "^$1"; }
fail() { echo "$1" >&2; exit 1; }

# tick waits a little for $1, which it tells once, and no longer than standard input.
tick() {
  [ "$1" = "$told" ] || echo "waiting: $1" >&2
  told=$1
  sleep 0.1 && kill -0 "$input" 2>/dev/null || exit 1
}

exec 3<&0
cat <&3 >/dev/null 2>&1 &
input=$!

# Nothing is held yet: what is under way may take its time. Until a rewrite has ended
# the log of writes may not be whole.
if is aof_enabled:0 && [ "$(ask CONFIG GET save)" = save ]; then
  fail "this server keeps nothing on the disk, as save is empty and appendonly is no: there is nothing to back up"
fi
while is rdb_bgsave_in_progress:1; do tick "a save is under way"; done
while is aof_rewrite_in_progress:1 || is aof_rewrite_scheduled:1; do tick "a rewrite of the append-only file is under way"; done

# A script is a write to the server. This one isn't answered before the pause ends,
# however that ends: by its time, by somebody's CLIENT UNPAUSE, or with the server.
trap 'ask CLIENT UNPAUSE >/dev/null' EXIT
said=$(ask CLIENT PAUSE "${2}000" WRITE)
[ "$said" = OK ] || fail "CLIENT PAUSE: $said"
printf 'CLIENT SETNAME lull-%s\nEVAL "return 1" 0\n' $$ | client >/dev/null &
holds() { ask CLIENT LIST | grep " name=lull-$$ " | grep -q ' flags=[^ ]*b'; }
until holds; do tick "the pause begins"; done

# All that was acknowledged is to be in the files: of the log what the server has yet
# to write, and tries to where it can't, else a whole save. Both then go to the disk.
if is aof_enabled:1; then
  until is aof_buffer_length:0; do tick "the append-only file is being written"; done
else
  until said=$(ask BGSAVE) && [ "$said" = "Background saving started" ]; do tick "BGSAVE: $said"; done
  while is rdb_bgsave_in_progress:1; do tick "the save"; done
  is rdb_last_bgsave_status:ok || fail "the save failed: see the log of the server"
fi
dir=$(ask CONFIG GET dir | tail -n 1)
sync -f "$dir" 2>/dev/null || sync

# What a copy of the server needs, or why it isn't told.
echo "USES $dir"

echo HELD || exit 1
wait "$input"
holds || fail "the pause was over before it was ended"
echo STILL_HELD
