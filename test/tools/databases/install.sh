#!/bin/sh
# Unpacks Debian's package $1, the server of a database, and what of its libraries
# this machine lacks, into the user's cache folder, and prints the path of the folder.
# Nothing is installed: its server is to run under the test alone. What is installed
# already, in its newest version, isn't unpacked: programs are looked for there too.
set -eu
cache=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}/servers
folder=$cache/$1
if [ ! -d "$folder" ]; then
	mkdir -p "$cache"
	part=$(mktemp -d "$folder.XXXXXX")
	trap 'rm -rf "$part"' EXIT
	mkdir -p "$part/debs/partial"
	download() {
		apt-get -qq -o APT::Sandbox::User=root install --download-only -y --no-install-recommends -o Dir::Cache::archives="$part/debs" "$1" >&2
	}
	download "$1" || { apt-get -qq update >&2 && download "$1"; }
	for deb in "$part"/debs/*.deb; do
		[ ! -f "$deb" ] || dpkg-deb --extract "$deb" "$part"
	done
	rm -r "$part/debs"
	chmod 755 "$part"
	mv -T "$part" "$folder" || [ -d "$folder" ] # another may have made it meanwhile
fi
echo "$folder"
