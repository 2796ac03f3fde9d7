// Command proof holds verdicts to the only judge there is: it starts what was
// backed up. For each database and each layout of its volumes it loads the
// database, backs it up, restores the snapshots into new claims, starts a server
// on them and reads all that it has.
//
//	make test-proof                            the short form: a few of them
//	make test-proof ROUNDS=100                 a hundred rounds of each, other versions among them
//	make test-proof ROUNDS=100 ONLY="MySQL"    a hundred of each whose name has this in it
//	make test-proof ROUNDS=100 JOURNAL=file    the same, and go on where it was ended
//	make test-proof ROUNDS=100 SEED=7          as much is written before each freeze again
//	make test-proof ROUNDS=100 TABLE=docs/consistency.md   and write the table there
//
// A database is an engine, with its version: how its server is started, loaded, read
// and checked.
// A testbed is one engine in one layout, in a namespace of its own.
//
// A copy is clean where the server starts, its log tells of no damage, its tables
// and, once it has stopped, its files are whole, and it has every row that was
// acknowledged before the freeze and none from after it, but for one under way; of a
// database whose commits aren't held, none from after the cut. Else it is torn.
//
// A layout that promises Proven fails with one torn copy. A layout that can't be
// Proven fails with a higher verdict than it may have, and after ROUNDS=20 also
// without any torn copy: then the load wouldn't show a false verdict either. So
// that it does, the log is cut seconds after the data, and the slow copy has it
// last, while the server writes the pages that the load has changed and moves its
// checkpoint past them. Where no copy can be torn, the layout says why. In the short
// form one torn copy is enough, and three rounds without fail.
//
// What the controllers do when something fails belongs into test/faults, and what
// users do into test/e2e.
package main
