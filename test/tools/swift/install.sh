#!/bin/sh
# Unpacks Debian's Swift, the object store of OpenStack, and what of its libraries
# this machine lacks, into the user's cache folder, and prints the path of a Python
# that has them. Nothing is installed: none of its services is to run but under the
# test.
set -eu
tools=$(cd "$(dirname "$0")/.." && pwd)
cache=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}/servers
folder=$cache/swift
if [ ! -x "$folder/python" ]; then
	mkdir -p "$cache"
	part=$(mktemp -d "$folder.XXXXXX")
	trap 'rm -rf "$part"' EXIT
	mkdir -p "$part/debs/partial"
	download() {
		sh "$tools/apt-get.sh" -qq -o APT::Sandbox::User=root install --download-only -y --no-install-recommends -o Dir::Cache::archives="$part/debs" python3-swift >&2
	}
	download || { sh "$tools/apt-get.sh" -qq update >&2 && download; }
	for deb in "$part"/debs/*.deb; do dpkg-deb --extract "$deb" "$part"; done
	rm -r "$part/debs"
	cat >"$part/python" <<'PYTHON'
#!/bin/sh
here=$(dirname "$0")
export PYTHONPATH="$here/usr/lib/python3/dist-packages"
export LD_LIBRARY_PATH="$(echo "$here"/usr/lib/*-linux-gnu)"
python=$here/usr/bin/python3
[ -x "$python" ] || python=/usr/bin/python3
exec "$python" "$@"
PYTHON
	chmod 755 "$part" "$part/python"
	mv -T "$part" "$folder" || [ -x "$folder/python" ] # another may have made it meanwhile
fi
echo "$folder/python"
