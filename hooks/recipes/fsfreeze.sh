# Freezes the file systems of an application's volumes until standard input ends:
# whoever writes to one of them waits.
#
# $3: a file that is there for as long as what this has frozen may be so. The rest: the
# folders where the volumes are mounted.
#
# No kernel thaws by itself. This does at each end of it but SIGKILL, after which
# fsfreeze-thaw.sh has to. It runs under timeout(1), which ends the whole group of
# processes when the longest time to hold is over.

marker=$3
shift 3
fail() { echo "$1" >&2; exit 1; }
command -v fsfreeze >/dev/null || fail "fsfreeze isn't in this container: use an image with util-linux"

# All of a file system is frozen, so nothing else may be in it: a folder of the node's
# may be all of the node.
for dir; do
  device= root=
  while read -r _ _ number folder point _; do
    if [ "$point" = "$dir" ]; then device=$number root=$folder; fi
  done </proc/self/mountinfo
  case $device in
  "") fail "no volume is mounted at $dir" ;;
  0:*) fail "$dir isn't on a block device of its own: use another recipe, or a hold of your own" ;;
  esac
  [ "$root" = / ] || fail "$dir is only the folder $root of a file system, which may be the node's: mount the whole volume, without subPath, or use another recipe, or a hold of your own"
  while read -r _ _ number _ point _; do
    [ "$number" != "$device" ] || [ "$point" = "$dir" ] || fail "the file system of $dir is mounted at $point too, so it isn't the volume's alone: use another recipe, or a hold of your own"
  done </proc/self/mountinfo
done

# What is to be written anyway is written before anybody waits for it.
for dir; do sync -f "$dir" || sync; done 2>/dev/null

# timeout(1) signals more than once: whatever comes while it thaws has it thaw anew.
thaw() {
  for dir in $frozen; do fsfreeze --unfreeze "$dir" || failed=1; done; frozen=
  [ "$failed$left" ] || rm -f "$marker"
}
trap '' PIPE
trap 'thaw; exit 1' HUP INT TERM
trap thaw EXIT
if [ -e "$marker" ]; then left=1; fi
: >"$marker" || exit 1

# fsfreeze says so by 1 where it has frozen nothing; where it was killed it may have.
# The witness is a write that waits for as long as the freeze lasts, whoever ends that,
# and that changes nothing: there is no such folder. It may live longer than this, and
# has none of its streams.
for dir; do
  frozen="$frozen $dir"
  said=$(LC_ALL=C fsfreeze --freeze "$dir" 2>&1)
  code=$?
  [ $code != 1 ] || frozen=${frozen% *}
  case "$code $said" in
  0*) ;;
  *busy) fail "$dir is frozen already, by somebody else or by a hold that was killed. This thaws it: fsfreeze --unfreeze $dir" ;;
  *permitted) fail "$said: the container has to run as root, with the capability SYS_ADMIN" ;;
  *) fail "fsfreeze --freeze $dir: $said" ;;
  esac
  rmdir "$dir/lull.$$" >/dev/null 2>&1 &
  witnesses="$witnesses $!"
done

echo HELD || exit 1
cat >/dev/null 2>&1
for witness in $witnesses; do kill -0 "$witness" || fail "a file system was thawed by somebody else"; done
thaw
[ "$failed" ] || echo STILL_HELD
