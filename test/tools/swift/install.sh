#!/bin/sh
# Unpacks Debian's Swift, the object store of OpenStack, and prints the path of a
# Python that has it. Nothing is installed: none of its services is to run but under
# the test.
set -eu
folder=$(sh "$(dirname "$0")/../unpack.sh" python3-swift)
if [ ! -x "$folder/python" ]; then
	part=$(mktemp "$folder/python.XXXXXX")
	cat >"$part" <<'PYTHON'
#!/bin/sh
here=$(dirname "$0")
export PYTHONPATH="$here/usr/lib/python3/dist-packages"
export LD_LIBRARY_PATH="$(echo "$here"/usr/lib/*-linux-gnu)"
python=$here/usr/bin/python3
[ -x "$python" ] || python=/usr/bin/python3
exec "$python" "$@"
PYTHON
	chmod 755 "$part"
	mv "$part" "$folder/python"
fi
echo "$folder/python"
