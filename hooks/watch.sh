# A watchman over a pair of hooks. It runs the post-hook: when it is told to, or
# by itself once the time is over. It needs a shell, sleep and /proc.
#
# $0: its own mark, as it is found by: lull=<mark>. $1: that of all watchmen of its
# pod, in the same way. $2: how many seconds it waits. $3: end.sh. $4: the mark of
# the hooks. The rest is the post-hook.
#
# Its names have a prefix, and it ignores no signal: the post-hook is to have
# the environment that a command of its own would have.
command -v sleep >/dev/null 2>&1 || exit 3
lull_own=${0#lull=} lull_pod=${1#lull=} lull_seconds=$2 lull_end=$3 lull_mark=$4
shift 4

# One of an earlier attempt that nobody could end would thaw what is frozen now.
/bin/sh -c "$lull_end" "${lull_own%.}" "${lull_pod%.}" >/dev/null 2>&1 || {
  echo "an earlier watchman of this pod can't be ended" >&2
  exit 4
}

trap : PIPE
exec 3<&0 </dev/null
sleep "$lull_seconds" >/dev/null 2>&1 3<&- &
lull_sleeper=$!
# The end of its input alone says nothing: the manager may have died.
{ IFS= read -r lull_word <&3 && [ "$lull_word" = thaw ] && kill "$lull_sleeper"; } </dev/null >/dev/null 2>&1 &
lull_reader=$!
echo HELD

# Both are its children until here: an orphan would be left to the first process
# of the container, which may never ask for its end.
wait "$lull_sleeper" 2>/dev/null
lull_ended=$?
{ kill "$lull_reader"; wait "$lull_reader"; } 2>/dev/null
exec 3<&-
if [ "$lull_ended" -gt 128 ]; then
  echo STILL_HELD
  ( "$@" ) >&2
  lull_code=$?
  # 141 is the end of one whose output nobody reads any more.
  [ "$lull_code" -eq 141 ] || exit "$lull_code"
  ( "$@" ) >/dev/null 2>&1
  exit
fi

# Nobody may be there to read what is said from here on. What is left of the
# hooks could freeze after the post-hook.
exec >/dev/null 2>&1
/bin/sh -c "$lull_end" - "$lull_mark"
lull_tries=18
until ( "$@" ); do
  lull_tries=$((lull_tries - 1))
  [ "$lull_tries" -gt 0 ] || exit 1
  sleep 5
done
