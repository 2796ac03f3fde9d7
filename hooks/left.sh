# Prints what of a hold runs in this container: first the sessions that it began, as
# one line, then each of their processes, with its command line. It needs /proc.
#
# $1: the mark of the hold. The rest: sessions of it that were found before, whose
# leaders may have ended.
mark=$1
shift
sessions=$*
for dir in /proc/[0-9]*; do
  p=${dir#/proc/} words=
  # Some shells keep the line where a read fails, as of who has just ended.
  while line=; IFS= read -r line || [ -n "$line" ]; do words="$words$line"; done <"$dir/cmdline"
  read -r line <"$dir/stat" || continue
  set -- ${line##*) }
  case $1 in [ZX]) continue ;; esac
  case $words in *"lull=$mark."*) [ "$4" != "$p" ] || sessions="$sessions $p" ;; esac
  all="$all $4:$p"
done 2>/dev/null
echo $sessions
for one in $all; do
  case " $sessions " in *" ${one%:*} "*) echo "${one#*:} $(tr '\000\n' '  ' <"/proc/${one#*:}/cmdline")" ;; esac
done 2>/dev/null
