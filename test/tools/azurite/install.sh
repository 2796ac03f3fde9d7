#!/bin/sh
# Installs Azurite, a server of Azure's blobs, into the user's cache folder, once for
# each package-lock.json, and prints the path of its program. Its packages' own
# scripts aren't run. Where there is no npm, Debian's is installed.
set -eu
tools=$(cd "$(dirname "$0")/.." && pwd)
cd "$(dirname "$0")"
cache=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}/servers
folder=$cache/azurite-$(sha256sum package-lock.json | cut -c-16)
if [ ! -d "$folder" ]; then
	command -v npm >/dev/null || {
		sh "$tools/apt-get.sh" -qq update
		DEBIAN_FRONTEND=noninteractive sh "$tools/apt-get.sh" -qq install -y --no-install-recommends nodejs npm
	} >&2
	mkdir -p "$cache"
	part=$(mktemp -d "$folder.XXXXXX")
	trap 'rm -rf "$part"' EXIT
	cp package.json package-lock.json "$part"
	(cd "$part" && npm ci --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error) >&2
	chmod 755 "$part"
	mv -T "$part" "$folder" || [ -d "$folder" ] # another may have made it meanwhile
fi
echo "$folder/node_modules/azurite/dist/src/blob/main.js"
