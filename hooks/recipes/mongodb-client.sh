# Stands before both scripts of MongoDB.

# of prints what the usual images read from the variable $1, or from the file that the
# variable $1_FILE names.
of() {
  eval "value=\${$1:-} file=\${$1_FILE:-}"
  if [ -z "$value" ] && [ -n "$file" ]; then value=$(cat "$file"); fi
  printf '%s' "$value"
}

# client runs what comes by standard input, with $1 as the file of a hold. The password
# goes to it by its environment, which only the same user can read. A server on another
# host isn't this pod's, and what is in a user's .mongoshrc.js isn't ours.
client() {
  command -v mongosh >/dev/null || { echo "mongosh isn't in this container: name one that has it, such as the database's" >&2; return 1; }
  export LULL_MARKER="$1" LULL_USER="$(of MONGO_INITDB_ROOT_USERNAME)" LULL_PASSWORD="$(of MONGO_INITDB_ROOT_PASSWORD)"
  [ "$LULL_PASSWORD" ] || export LULL_USER="${MONGODB_ROOT_USER:-root}" LULL_PASSWORD="$(of MONGODB_ROOT_PASSWORD)"
  [ "$LULL_PASSWORD" ] || export LULL_USER="$(of MONGODB_CLUSTER_ADMIN_USER)" LULL_PASSWORD="$(of MONGODB_CLUSTER_ADMIN_PASSWORD)"
  mongosh --quiet --norc "mongodb://127.0.0.1:${MONGODB_PORT_NUMBER:-27017}/admin?directConnection=true"
}
