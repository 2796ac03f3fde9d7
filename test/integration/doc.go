// Package integration tests the API and the controllers against a real API
// server and its etcd. There is no kubelet, no other controller and no storage
// here: a test makes pods and claims as plain objects, runs hooks as processes
// of this machine, and stands for the storage itself, so that it decides what is
// cut when: a fake cluster.
//
// The oracle: hooks leave a mark while they hold, and the storage side notes
// which marks there are at the instant of each cut. What a backup says of
// itself is compared with that after every case.
//
//	main_test          the API server, as deploy/ sets it up
//	fake_cluster_test  an application in a namespace of its own
//	hooks_test         hooks that leave marks
//	storage_test       the storage side
//	manager_test       a manager that can be killed at any point
//	operator_test      the operator's controllers; no other file knows how they are set up
//	backups_test       backups, and what they come to
//	invariants_test    what has to be true whatever happened
//	journal_test       what happened, in order
package integration
