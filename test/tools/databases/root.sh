#!/bin/sh
# Makes a root file system of Debian's suite $1, with the databases that recipes are
# tried on there, in the user's cache folder, once for each version of this file, and
# prints its path.
#
# A mirror keeps only the newest versions of a suite. A major version is pinned where
# the name of a package has it; the rest is what there was on the day, and is told.
set -eu
tools=$(cd "$(dirname "$0")/.." && pwd)
suite=$1
case $suite in
bookworm) packages="mariadb-server postgresql-15 redis-server" ;;
trixie) packages="mariadb-server postgresql-17 valkey-server" ;;
sid) packages="mysql-server postgresql-18 redis-server" ;;
*) echo "there are no databases of a suite $suite: write bookworm, trixie or sid" >&2 && exit 1 ;;
esac
[ "$(id -u)" = 0 ] || { echo "only root can make, and enter, a root file system: use sudo" >&2 && exit 1; }

cache=${LULL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lull}/roots
root=$cache/$suite-$(sha256sum "$0" | cut -c-16)
if [ ! -d "$root" ]; then
	command -v mmdebstrap >/dev/null || {
		sh "$tools/apt-get.sh" -qq update
		DEBIAN_FRONTEND=noninteractive sh "$tools/apt-get.sh" -qq install -y --no-install-recommends mmdebstrap
	} >&2
	mkdir -p "$cache"
	part=$(mktemp -d "$root.XXXXXX")
	trap 'rm -rf "$part"' EXIT
	# Not unpacked is what no test needs: most of it compiles queries. mmdebstrap lets no
	# package start a server.
	set --
	for unwanted in share/doc share/man share/info share/locale 'lib/*/libLLVM' 'lib/postgresql/*/lib/bitcode'; do
		set -- "$@" --dpkgopt="path-exclude=/usr/$unwanted*"
	done
	sh "$tools/mmdebstrap.sh" "$suite" "$part" --variant=minbase --include="$packages" "$@" \
		--customize-hook='cd "$1" && rm -rf var/lib/mysql/* var/lib/postgresql/* var/lib/apt/lists var/cache/apt' >&2
	chmod 755 "$part"
	mv -T "$part" "$root" || [ -d "$root" ] # another may have made it meanwhile
fi
# One that nobody asks for is kept for a fortnight, as all in the cache.
touch "$root"
find "$cache" -maxdepth 1 -name "$suite-*" -mtime +14 -exec rm -rf {} +
chroot "$root" dpkg-query --show --showformat="$suite has \${Package} \${Version}\n" $packages >&2
echo "$root"
