# Undoes the lock that mongodb.sh has left, or that its server is still about to take. $0:
# the file that mongodb.sh has made. With another server the lock has gone.
[ -e "$0" ] || exit 0
client "$0" <<'JS'
fs = require("fs"), marker = process.env.LULL_MARKER;
fail = (why) => { process.stderr.write(why + "\n"); quit(1); };
try {
  if (process.env.LULL_PASSWORD) db.auth(process.env.LULL_USER, process.env.LULL_PASSWORD);
  locked = String(db.hello().topologyVersion.processId) === fs.readFileSync(marker, "utf8");
  while (locked) {
    try {
      db.fsyncUnlock();
      locked = false;
    } catch (e) {
      if (!/not locked/.test(e.message)) throw e;
      locked = db.currentOp({"command.fsync": 1}).inprog.length > 0; sleep(200);
    }
  }
  fs.unlinkSync(marker);
} catch (e) { fail(e.message); }
JS
