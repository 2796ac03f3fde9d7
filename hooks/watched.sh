# Runs a pre-hook while its watchman waits, and else refuses: a runtime that hung may
# begin one that everybody has given up and thawed, and nobody would thaw that.
# It needs a shell and /proc.
#
# $0: the mark of the hooks, as it is found by: lull=<mark>. The rest is the pre-hook.
#
# Its names have a prefix, as those of the watchman.
lull_waits() {
  lull_looks=
  for lull_dir in /proc/[0-9]*; do
    lull_words=
    # Some shells keep the line where a read fails, as of who has just ended.
    while lull_line=; IFS= read -r lull_line || [ -n "$lull_line" ]; do lull_words="$lull_words$lull_line"; done <"$lull_dir/cmdline"
    case $lull_words in *"$0"*) lull_looks=1 ;; esac
    # Who took its place has more to its mark, and is there for the thaw alone. zsh
    # keeps what is between two words.
    case $lull_words in *"lull=watch.${0#lull=}lull="* | *"lull=watch.${0#lull=}"?"lull="*) ;; *) continue ;; esac
    # What it began has its words, too, and may outlive it; it leads their session.
    read -r lull_line <"$lull_dir/stat" || continue
    set -- ${lull_line##*) }
    case $1 in [ZX]) continue ;; esac
    [ "$4" = "${lull_dir#/proc/}" ] || continue
    # It closes its input before it acts. Where nobody may look at that it may wait.
    if [ -e "$lull_dir/fd/3" ] || [ ! -e "$lull_dir/fd/1" ]; then return 0; fi
  done 2>/dev/null
  # Who doesn't find itself can't look, and is as it would be without a watchman.
  [ -z "$lull_looks" ]
}
lull_waits || {
  echo "its watchman has ended: nothing would thaw what this froze" >&2
  exit 4
}
"$@"
exit $?
