#!/bin/sh
# mmdebstrap, of Debian's suite $1 into $2, whatever the machine's suite is. The rest
# are its options. The machine's apt says from which mirror; without one mmdebstrap
# takes Debian's own.
#
# The lists of a mirror that stands still say that they are out of date. They are signed
# all the same.
set -eu
suite=$1 target=$2
shift 2
mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Label: Debian' | head -n 1)
exec mmdebstrap --quiet --aptopt='Acquire::Check-Valid-Until "false"' "$@" "$suite" "$target" $mirror
