// Command proof holds verdicts to the only judge there is: it starts what was
// backed up. For each database and each layout of its volumes it loads the
// database, backs it up, restores the snapshots into new claims, starts a server
// on them and reads all that it has.
//
//	make test-proof                            one round of each
//	ROUNDS=100 make test-proof                 a hundred
//	SEED=7 ROUNDS=100 make test-proof          the same loads again
//	TABLE=docs/consistency.md ROUNDS=100 make test-proof   and write the table there
//
// A copy is clean where the server starts, its log tells of no damage, its tables
// and, once it has stopped, its files are whole, and it has every row that was
// acknowledged before the freeze and none from after it, but for one under way.
// Else it is torn.
//
// A layout that promises Proven fails with one torn copy. A layout that can't be
// Proven fails with a higher verdict than it may have, and after ROUNDS=20 also
// without any torn copy: then the load wouldn't show a false verdict either. So
// that it does, the log is cut seconds after the data, and the slow copy has it
// last, while the server writes the pages that the load has changed and moves its
// checkpoint past them.
//
// What the controllers do when something fails belongs into test/faults, and what
// users do into test/e2e.
package main
