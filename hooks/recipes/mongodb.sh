# Holds a MongoDB server still: db.fsyncLock() in one session, which unlocks when
# standard input ends, or a little before $2, the longest to hold in seconds.
#
# The lock is the server's and not the session's, and is counted. $3: a file that names
# the server for as long as a lock of this session may be there: mongodb-thaw.sh undoes
# it where this was killed.

limit=$(($2 > 3 ? $2 - 2 : 1))

# mongosh has a prompt, so that a word needs a line of its own, and goes on after an
# error, so that each ends it. A client that fails ends the group, so that the failure is
# told at once and not when standard input ends.
{
  cat <<'JS'
fs = require("fs"), marker = process.env.LULL_MARKER, left = fs.existsSync(marker), inTime = false;
fail = (why) => { process.stderr.write(why + "\n"); quit(1); };
try {
  if (process.env.LULL_PASSWORD) db.auth(process.env.LULL_USER, process.env.LULL_PASSWORD);
  hello = db.hello();
  if (hello.msg === "isdbgrid") throw new Error("this is a mongos, which has no data: name the container of a mongod");
  server = String(hello.topologyVersion.processId);
  real = (name) => { try { return fs.realpathSync(name); } catch (e) { return name; } };
  try {
    data = (db.adminCommand({getCmdLineOpts: 1}).parsed.storage || {}).dbPath || "/data/db";
    for (name of [data, data + "/journal"]) print("\nUSES " + real(name));
  } catch (e) { print("\nUSES ?"); }
  fs.writeFileSync(marker, server);
  try {
    locks = String(db.fsyncLock().lockCount);
  } catch (e) {
    if (e.codeName && !left) fs.unlinkSync(marker);
    throw e;
  }
  if (locks !== "1") {
    db.fsyncUnlock();
    if (!left) fs.unlinkSync(marker);
    throw new Error("the server is locked already, by somebody else or by a hold that was killed. This unlocks it: db.fsyncUnlock()");
  }
  print("\nHELD");
} catch (e) { fail(e.message); }
JS
  if timeout "$limit" cat >/dev/null 2>&1; then echo 'inTime = true;'; fi
  cat <<'JS'
try {
  if (String(db.hello().topologyVersion.processId) !== server) { fs.unlinkSync(marker); throw new Error("the server was started anew"); }
  db.fsyncUnlock();
  fs.unlinkSync(marker);
  if (inTime) print("\nSTILL_HELD");
} catch (e) { fail(e.message); }
JS
} | { client "$3" || kill -TERM 0; }
