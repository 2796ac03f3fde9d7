# Ends with 3 where the program $0 is known not to be there, so that a command
# that ended with 126 or 127 can't have begun. What the shell can't tell is 0.
case $0 in
*/*) [ -f "$0" ] && [ -x "$0" ] || exit 3 ;;
*) command -v : >/dev/null 2>&1 && ! command -v "$0" >/dev/null 2>&1 && exit 3 ;;
esac
exit 0
