// Stands in for mongosh and the server that it talks to, as far as MongoDB's
// documentation says what fsyncLock and fsyncUnlock do
// (https://www.mongodb.com/docs/manual/reference/command/fsync/). As the real one it is
// a REPL of Node.js, which goes on after an error.
//
// The server is the file server.json in the folder $STANDIN.
const fs = require("fs"), path = require("path"), repl = require("repl");
const file = path.join(process.env.STANDIN, "server.json");
const read = () => JSON.parse(fs.readFileSync(file, "utf8"));
const write = (server) => { fs.writeFileSync(file + ".new", JSON.stringify(server)); fs.renameSync(file + ".new", file); };
const end = (why) => { process.stderr.write(why + "\n"); process.exit(1); };

if (!fs.existsSync(file)) end("MongoNetworkError: connect ECONNREFUSED");
if (!process.argv[process.argv.length - 1].includes(":27999/admin")) end("MongoNetworkError: connect ECONNREFUSED");
if (process.argv.join(" ").includes(read().password || "\n")) end("a password is on the command line");

class ServerError extends Error {
  constructor(code, codeName, message) { super(message); Object.assign(this, { name: "MongoServerError", code, codeName }); }
}
const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const long = (n) => ({ toString: () => String(n) });
let user = "";
const command = (does) => {
  const server = read();
  if (server.password && user !== server.user) throw new ServerError(13, "Unauthorized", "command requires authentication");
  return does(server);
};

const db = {
  hello() {
    const server = read();
    return { msg: server.msg, topologyVersion: { processId: { toString: () => server.processId } }, ok: 1 };
  },
  auth(name, password) {
    const server = read();
    if (name !== server.user || password !== server.password) throw new ServerError(18, "AuthenticationFailed", "Authentication failed.");
    user = name;
    return { ok: 1 };
  },
  adminCommand: () => command((server) => {
    if (server.mayNotLook) throw new ServerError(13, "Unauthorized", "not authorized on admin to execute command { getCmdLineOpts: 1 }");
    return { parsed: { storage: { dbPath: path.join(process.env.STANDIN, "data") } }, ok: 1 };
  }),
  fsyncLock: () => command((server) => {
    if (server.mayNotLock) throw new ServerError(13, "Unauthorized", "not authorized on admin to execute command { fsync: 1 }");
    if (server.busy) write({ ...server, waiting: 1 });
    while (read().busy) wait(20);
    server = read();
    server.locks++;
    write({ ...server, waiting: 0 });
    if (server.losesReply) throw new Error("connection 3 to 127.0.0.1:27999 closed");
    return { info: "now locked", lockCount: long(server.locks), ok: 1 };
  }),
  fsyncUnlock: () => command((server) => {
    if (server.mayNotUnlock) throw new ServerError(13, "Unauthorized", "not authorized on admin to execute command { fsyncUnlock: 1 }");
    if (server.locks < 1) throw new ServerError(20, "IllegalOperation", "fsyncUnlock called when not locked");
    server.locks--;
    write(server);
    return { info: "fsyncUnlock completed", lockCount: long(server.locks), ok: 1 };
  }),
  currentOp: (filter) => command((server) => ({ inprog: filter["command.fsync"] && server.waiting ? [{ op: "command" }] : [], ok: 1 })),
};

process.stdout.on("error", () => {}); // whoever reads it may be gone
const shell = repl.start({ input: process.stdin, output: process.stdout, terminal: false, prompt: "admin> ", ignoreUndefined: true });
Object.assign(shell.context, { db, process, sleep: wait, print: (line) => process.stdout.write(line + "\n"), quit: (code) => process.exit(code) });
shell.on("exit", () => process.exit(0));
