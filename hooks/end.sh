# Ends what runs for an attempt in this container. It needs a shell and /proc.
#
# $@: marks, which stand in the command line of the leader of each session that
# was begun for an attempt. A leader that has ended by itself may have left others
# behind on purpose: those stay. $0: a mark that is spared.
#
# It prints the process ids of the leaders that it ended. Where something lives
# on after a second it prints that instead, and exits with 9.

# family keeps in $all the session of $p and what descends from it, and in $live
# those that live. Who has lost its parent meanwhile is in $all already.
family() {
  more=1
  while [ "$more" ]; do
    more= live=
    for stat in /proc/[0-9]*/stat; do
      q=${stat#/proc/} q=${q%/stat}
      read -r line <"$stat" || continue
      set -- ${line##*) }
      case $1 in [ZX]) continue ;; esac
      case " $all " in
        *" $q "*) ;;
        *" $2 "*) all="$all $q" more=1 ;;
        *) [ "$4" = "$p" ] || continue; all="$all $q" more=1 ;;
      esac
      live="$live $q"
    done
  done
}

# spare keeps in $kept who isn't ours to end, as another user's, with its
# parents: without them nobody would find it again.
spare() {
  kept=
  for q in $live; do
    kill -0 "$q" && continue
    kept="$kept $p"
    while [ "$q" != "$p" ]; do
      case " $live " in *" $q "*) kept="$kept $q" ;; *) break ;; esac
      read -r line <"/proc/$q/stat" || break
      set -- ${line##*) }
      q=$2
    done
  done
}

# end_session ends the session of $p, and is false where somebody lives on.
end_session() {
  all=$p looks=0
  while family; [ "$live" ]; do
    [ "$looks" -lt 10 ] || return 1
    [ "$looks" -eq 0 ] || sleep 0.1
    looks=$((looks + 1))
    spare
    # All at once where that can be: a shell goes on when its child ends.
    [ "$kept" ] || kill -s KILL -- "-$p"
    for q in $live; do
      case " $kept " in *" $q "*) ;; *) kill -s KILL "$q" ;; esac
    done
  done
  return 0
}

# is_marked is true for the command line $words of what is to be ended.
is_marked() {
  case $words in *"lull=$0."*) return 1 ;; esac
  for mark in $marks; do
    case $words in *"lull=$mark."*) return 0 ;; esac
  done
  return 1
}

marks=$*
# What begins while it is looked for isn't among those that are looked through: it is
# looked again until nothing is found.
found=1
while [ "$found" ] && [ -z "$left" ]; do
  found=
  for dir in /proc/[0-9]*; do
    p=${dir#/proc/} words=
    # Some shells keep the line where a read fails, as of who has just ended.
    while line=; IFS= read -r line || [ -n "$line" ]; do words="$words$line"; done <"$dir/cmdline"
    is_marked || continue
    read -r line <"$dir/stat" || continue
    set -- ${line##*) }
    [ "$4" = "$p" ] || continue
    if end_session; then ended="$ended $p" found=1; else left="$left$live"; fi
  done 2>/dev/null
done
[ -z "$left" ] || { echo $left; exit 9; }
echo $ended
