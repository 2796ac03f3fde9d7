#!/bin/sh
# Unpacks packages of Debian, and what of their libraries this machine lacks, into a
# folder of the user's cache, and prints its path. What is installed already, in its
# newest version, isn't unpacked: programs are looked for there too.
#
# The arguments are the packages.
set -eu
tools=$(cd "$(dirname "$0")" && pwd)
cache=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}/unpacked
folder=$cache/$(echo "$@" | tr ' ' +)
if [ ! -d "$folder" ]; then
	mkdir -p "$cache"
	part=$(mktemp -d "$folder.XXXXXX")
	trap 'rm -rf "$part"' EXIT
	mkdir -p "$part/debs/partial"
	download() {
		sh "$tools/apt-get.sh" -qq -o APT::Sandbox::User=root install --download-only -y --no-install-recommends -o Dir::Cache::archives="$part/debs" "$@" >&2
	}
	download "$@" || { sh "$tools/apt-get.sh" -qq update >&2 && download "$@"; }
	for deb in "$part"/debs/*.deb; do
		[ ! -f "$deb" ] || dpkg-deb --extract "$deb" "$part"
	done
	rm -r "$part/debs"
	chmod 755 "$part"
	mv -T "$part" "$folder" || [ -d "$folder" ] # another may have made it meanwhile
fi
echo "$folder"
