// Command faults is the fault suite: it runs scenarios of backups, restores and policies
// on a real cluster and lets faults befall them, above all a manager that is
// killed before and after every write to the API and at every word of a held
// session. After each round it holds the operator to what it promises: the
// application isn't frozen past its limit, no verdict is false, nothing is
// orphaned, the object comes to an end by itself and says which, and of a policy
// each due time has one backup, and what its rules keep is kept.
//
//	make test-faults                  every failpoint once, and some other faults
//	ROUNDS=100 make test-faults       every failpoint at every moment, then 100 random rounds
//	SEED=7 ROUNDS=100 make test-faults  the same random rounds again
//
// At the end the API server's audit log of the whole run is held to a model that
// shares no code with the operator (test/faults/history), and kept in
// bin/results/history.jsonl.gz; go run ./test/faults -history=FILE judges it again.
// Then the copies in the driver are counted: none is to be left. Snapshot
// controllers of 8.5 (SNAPSHOTTER=8.5 make test-faults) may leave some: those are
// listed with their cause.
//
// The manager is one of this checkout, built with the tag failpoints and run
// here with the rights of the deployed one, which stands aside meanwhile.
//
// Cases without a fault belong into test/e2e.
package main
