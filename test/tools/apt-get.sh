#!/bin/sh
# apt-get, one at a time: two that update the lists of packages don't wait for each
# other, and one of them fails.
set -eu
cache=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}
mkdir -p "$cache"
exec flock "$cache/apt-get.lock" apt-get "$@"
