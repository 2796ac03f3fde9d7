#!/bin/sh
# Runs the program $2 with the arguments that follow in the root file system $1: as go
# test has it by -exec. The program finds itself at /tmp, in memory. What it starts is
# ended with it. What the machine unmounts is unmounted here too: a volume that stays
# mounted somewhere can't be deleted.
set -eu
exec unshare --mount --propagation slave --pid --fork --kill-child sh -euc '
	root=$1 program=$2
	shift 2
	mount -t tmpfs tmpfs "$root/tmp"
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	cp "$program" "$root/tmp/program"
	exec chroot "$root" env --chdir=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp LC_ALL=C.UTF-8 /tmp/program "$@"
' within "$@"
